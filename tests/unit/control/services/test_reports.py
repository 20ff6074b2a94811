# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Events of an attempt are taken once and in order, from nobody but the attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from animus_contracts.pages import ListQuery
from animus_contracts.run_events import MetricLogged, NotebookStarted, ReportEvents
from animus_contracts.runs import Progress
from animus_control.domain.errors import ConflictError
from tests.unit.control.moments import NOW
from tests.unit.control.services.attempts import EVENTS, code_of
from tests.unit.control.services.desk import VIC, Desk, runner_of


def test_events_become_progress_metrics_and_the_live_story(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    before = len(desk.audit())

    assert desk.report(lease, *EVENTS) == 6

    seen = desk.run(run)
    metrics = desk.do(VIC, "metrics.list", ListQuery(), project="demo", run=run.run_id).items
    story = desk.read(lambda uow: uow.events.after(run.project_id, 0, run_id=run.run_id))
    assert seen.progress == Progress(cells_done=1, cells_total=2, current_cell="b")
    assert [(item.name, item.step, item.value, item.sequence) for item in metrics] == [("accuracy", 1, 0.5, 4)]
    assert [event.type for event in story] == ["run.state"] * 3 + [
        "notebook.started", "cell.started", "stream.written", "metric.logged", "cell.ended", "cell.started",
    ]  # fmt: skip
    assert story[5].data["text"] == "hello\n"
    assert len(desk.audit()) == before


def test_known_events_are_skipped_and_a_gap_is_refused(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.report(lease, *EVENTS[:4])

    assert code_of(desk.report, lease, EVENTS[5]) == "event_conflict"
    assert desk.report(lease, *EVENTS[:3]) == 4
    assert desk.report(lease, *EVENTS[2:]) == 6
    assert desk.run(run).progress.cells_done == 1
    assert len(desk.do(VIC, "metrics.list", ListQuery(), project="demo", run=run.run_id).items) == 1


@pytest.mark.parametrize("order", [(1, 1), (2, 1), (1, 3)])
def test_events_out_of_order_are_refused_whole(desk: Desk, order: tuple[int, int]) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    events = [NotebookStarted(sequence=number, at=NOW, cells_total=1) for number in order]

    assert code_of(desk.report, lease, *events) == "event_conflict"
    assert desk.report(lease) == 0


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 513])
def test_metric_needs_a_printable_name(desk: Desk, name: str) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)

    assert (
        code_of(desk.report, lease, MetricLogged(sequence=1, at=NOW, name=name, step=0, value=0)) == "invalid_request"
    )


def test_report_of_too_many_events_is_refused(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.limits = replace(desk.limits, events_per_report=5)

    assert code_of(desk.report, lease, *EVENTS) == "invalid_request"


def test_report_names_the_epoch_of_its_token(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    message = ReportEvents(epoch=lease.epoch + 1, events=EVENTS)

    with pytest.raises(ConflictError) as caught:
        desk.do(runner_of(lease), "executions.report", message, execution=lease.execution_id)

    assert caught.value.code == "stale_epoch"


def test_nothing_is_reported_before_the_start(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()

    assert code_of(desk.report, lease, EVENTS[0]) == "stale_epoch"
