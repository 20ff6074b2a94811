# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run is stopped by whoever may, at once or by asking its executor, and what had ended stays as it is."""

from __future__ import annotations

import pytest

from animus_contracts.executions import Verdict
from animus_contracts.runs import TERMINAL_STATES, CancelRun, Run, RunState
from animus_control.domain.errors import DeniedError
from tests.unit.control.services.desk import ED, VIC, Desk


def cancel(desk: Desk, run: Run) -> Run:
    answer: Run = desk.do(ED, "runs.cancel", CancelRun(reason="enough"), project="demo", run=run.run_id)
    return answer


def test_queued_run_is_canceled_at_once(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()

    canceled = cancel(desk, run)

    assert (canceled.state, canceled.finished_at) == (RunState.CANCELED, desk.now)
    assert desk.run(run) == canceled
    assert desk.lease() is None


@pytest.mark.parametrize("started", [False, True])
def test_leased_run_is_asked_to_stop_by_its_heartbeat(desk: Desk, *, started: bool) -> None:
    run = desk.submit()
    lease = desk.leased()
    if started:
        desk.start(lease)
    assert not desk.heartbeat(lease).cancel

    assert cancel(desk, run).state is (RunState.RUNNING if started else RunState.DISPATCHING)

    assert desk.heartbeat(lease).cancel
    assert desk.end(lease, Verdict.CANCELED).state is RunState.CANCELED


def test_cancel_asked_twice_is_audited_once(desk: Desk) -> None:
    run = desk.submit()
    desk.leased()

    assert cancel(desk, run) == cancel(desk, run)
    assert desk.actions().count("run.cancel_requested") == 1


def test_ended_run_stays_as_it_is(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease)
    before = desk.audit()

    assert cancel(desk, run).state is RunState.SUCCEEDED
    assert desk.audit() == before


def test_success_before_the_request_arrived_counts(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    cancel(desk, run)

    assert desk.end(lease).state is RunState.SUCCEEDED


@pytest.mark.parametrize("started", [False, True])
def test_canceled_run_whose_executor_is_lost_ends_canceled(desk: Desk, *, started: bool) -> None:
    run = desk.submit()
    lease = desk.leased()
    if started:
        desk.start(lease)
    cancel(desk, run)
    for _ in range(2):
        desk.later(31)
        desk.reconcile()

    assert desk.run(run).state is RunState.CANCELED
    assert desk.run(run).state in TERMINAL_STATES


def test_viewer_stops_nothing(desk: Desk) -> None:
    run = desk.submit()

    with pytest.raises(DeniedError):
        desk.do(VIC, "runs.cancel", CancelRun(), project="demo", run=run.run_id)
