# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run whose executor is silent is looked for, given up once, and never held by two."""

from __future__ import annotations

from dataclasses import replace

import pytest

from animus_contracts.executions import ExecutionState, Verdict
from animus_contracts.runs import FailureReason, Run, RunState
from animus_control.domain.errors import AnimusError, ConflictError
from animus_control.services.tokens import token_hash
from tests.unit.control.services.attempts import BROKE
from tests.unit.control.services.desk import LOCAL, REMOTE, Desk


def states_of(desk: Desk, run: Run) -> list[ExecutionState]:
    return [execution.state for execution in desk.read(lambda uow: uow.executions.of_run(run.run_id))]


def test_lease_in_force_is_left_alone(desk: Desk) -> None:
    run = desk.submit()
    desk.leased()
    desk.later(29)

    assert desk.reconcile() == 0
    assert desk.run(run).state is RunState.DISPATCHING


def test_run_lost_before_its_start_goes_back_to_its_place_under_a_new_epoch(any_desk: Desk) -> None:
    desk = any_desk
    desk.project()
    message = desk.submission()
    run = desk.submit(message)
    lease = desk.leased()
    desk.later(5)
    desk.submit(message)
    desk.later(31)

    assert desk.reconcile() == 1

    assert (desk.run(run).state, desk.run(run).epoch) == (RunState.QUEUED, 2)
    assert states_of(desk, run) == [ExecutionState.LOST]
    with pytest.raises(ConflictError, match="lost"):
        desk.start(lease)
    again = desk.leased(REMOTE)
    assert (again.run_id, again.attempt, again.epoch) == (run.run_id, 2, 3)
    desk.start(again, REMOTE)
    assert desk.reconcile() == 0


def test_run_that_nobody_can_start_fails_after_some_attempts(desk: Desk) -> None:
    desk.limits = replace(desk.limits, dispatch_attempts=2)
    run = desk.submit()
    for _ in range(2):
        desk.leased()
        desk.later(31)
        desk.reconcile()

    failed = desk.run(run)
    assert failed.failure is not None
    assert (failed.state, failed.failure.reason) == (RunState.FAILED, FailureReason.INFRASTRUCTURE)
    assert desk.lease() is None


def test_run_lost_while_running_is_unknown_then_found_by_the_same_epoch(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.later(31)
    desk.reconcile()
    assert desk.run(run).state is RunState.UNKNOWN
    desk.later(29)
    assert desk.reconcile() == 0

    desk.heartbeat(lease)

    assert desk.run(run).state is RunState.RUNNING
    assert desk.end(lease).state is RunState.SUCCEEDED


def test_run_not_found_again_fails_and_its_executor_is_refused(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()
    lease = desk.leased()
    token = desk.start(lease)
    for _ in range(2):
        desk.later(31)
        desk.reconcile()

    failed = desk.run(run)
    assert failed.failure is not None
    assert (failed.state, failed.failure.reason) == (RunState.FAILED, FailureReason.INFRASTRUCTURE)
    assert states_of(desk, run) == [ExecutionState.LOST]
    assert desk.read(lambda uow: uow.tokens.find(token_hash(token))) is None
    for late in (desk.heartbeat, desk.end):
        with pytest.raises(ConflictError) as caught:
            late(lease)
        assert caught.value.code == "stale_epoch"
    assert desk.run(run) == failed


def test_end_during_the_grace_is_believed(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.later(31)
    desk.reconcile()

    assert desk.end(lease, Verdict.FAILED, BROKE).state is RunState.FAILED
    assert desk.run(run).failure == BROKE


def test_outage_of_the_control_plane_ends_no_run_whose_executor_lives(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.later(3600)

    desk.reconcile()
    desk.heartbeat(lease)

    assert desk.run(run).state is RunState.RUNNING


def lives(desk: Desk, token: str) -> bool:
    stored = desk.read(lambda uow: uow.tokens.find(token_hash(token)))
    return stored is not None and stored.expires_at > desk.now


def test_a_run_token_that_ran_out_in_an_outage_is_revived_by_the_first_heartbeat(any_desk: Desk) -> None:
    desk = any_desk
    desk.submit()
    lease = desk.leased()
    token = desk.start(lease)
    desk.later(3600)
    assert not lives(desk, token)
    desk.reconcile()

    desk.heartbeat(lease)

    assert lives(desk, token)
    desk.later(desk.limits.run_token.total_seconds() + 1)
    assert not lives(desk, token)


@pytest.mark.parametrize("how", ["ended", "given up"])
def test_no_heartbeat_revives_the_token_of_an_attempt_that_is_over(desk: Desk, how: str) -> None:
    desk.submit()
    lease = desk.leased()
    token = desk.start(lease)
    if how == "ended":
        desk.end(lease)
    for _ in range(2):
        desk.later(3600)
        desk.reconcile()

    with pytest.raises(ConflictError):
        desk.heartbeat(lease)

    assert not lives(desk, token)


def test_loss_is_audited_with_executor_and_states(desk: Desk) -> None:
    run = desk.submit()
    desk.leased()
    desk.later(31)
    desk.reconcile()

    record = desk.audit(run.project_id)[-1]
    assert (record.action, record.actor) == ("execution.lost", "system:control-plane")
    assert (record.details["from"], record.details["to"], record.details["executor"]) == (
        "dispatching", "queued", "local",
    )  # fmt: skip


def test_two_executors_never_hold_one_run(desk: Desk) -> None:
    desk.submit()

    assert [desk.lease(LOCAL) is None, desk.lease(REMOTE) is None] == [False, True]


def test_returned_epoch_is_refused_before_the_next_lease(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.later(31)
    desk.reconcile()

    for late in (desk.heartbeat, desk.start, desk.end):
        with pytest.raises(AnimusError) as caught:
            late(lease)
        assert caught.value.code == "stale_epoch"


def test_an_outage_that_begins_during_the_grace_ends_no_run_whose_executor_lives(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.later(31)
    desk.reconcile()
    assert desk.run(run).state is RunState.UNKNOWN
    desk.later(3600)

    assert desk.reconcile(listened=0) == 0
    desk.heartbeat(lease)

    assert desk.run(run).state is RunState.RUNNING


def test_a_control_plane_that_never_stays_for_a_whole_grace_gives_nobody_up(desk: Desk) -> None:
    run = desk.submit()
    desk.start(desk.leased())
    for _ in range(100):
        desk.later(31)
        desk.reconcile(listened=0)
        desk.later(29)
        desk.reconcile(listened=29)
    assert desk.run(run).state is RunState.UNKNOWN

    desk.later(1)
    desk.reconcile(listened=30)

    assert desk.run(run).state is RunState.FAILED


def test_of_two_control_planes_the_one_that_listened_gives_up_what_is_lost(desk: Desk) -> None:
    run = desk.submit()
    desk.start(desk.leased())
    desk.later(31)
    desk.reconcile(listened=0)
    desk.later(31)

    assert desk.reconcile(listened=3) == 0
    assert desk.reconcile(listened=62) == 1

    assert desk.run(run).state is RunState.FAILED


def test_what_never_started_goes_back_to_the_queue_although_nobody_listened(desk: Desk) -> None:
    run = desk.submit()
    desk.leased()
    desk.later(3600)

    assert desk.reconcile(listened=0) == 1

    assert desk.run(run).state is RunState.QUEUED
