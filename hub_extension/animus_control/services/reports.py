# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens inside a run arrives in order and once: known events are skipped, a gap is refused.

Reports change progress, metrics and the live story, never a state, so they are not audited.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from animus_contracts.artifacts import Metric
from animus_contracts.executions import Execution
from animus_contracts.paths import UNPRINTABLE
from animus_contracts.problems import Fault
from animus_contracts.run_events import (
    CellEnded,
    CellStarted,
    EventsAccepted,
    ExecutionEvent,
    MetricLogged,
    NotebookStarted,
    ReportEvents,
)
from animus_contracts.runs import Progress
from animus_control.domain.errors import ConflictError
from animus_control.domain.limits import Limits
from animus_control.domain.names import refuse
from animus_control.services.calls import Call
from animus_control.services.executions import reporting, save
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import require
from animus_control.services.tokens import DISPATCH


@operation("executions.report")
def report_events(uow: UnitOfWork, call: Call, message: ReportEvents) -> EventsAccepted:
    """Store events of a running attempt."""
    execution = reporting(uow, call)
    if message.epoch != execution.epoch:
        raise ConflictError("stale_epoch", f"The attempt has epoch {execution.epoch}, not {message.epoch}.")
    refuse(_faults(message.events, call.limits))
    fresh = _fresh(execution, message.events)
    if fresh:
        _store(uow, execution, fresh)
        uow.notify(f"run:{execution.run_id}")
    return EventsAccepted(last_sequence=execution.last_sequence + len(fresh))


def _fresh(execution: Execution, events: Sequence[ExecutionEvent]) -> list[ExecutionEvent]:
    fresh = [event for event in events if event.sequence > execution.last_sequence]
    for expected, event in enumerate(fresh, execution.last_sequence + 1):
        if event.sequence != expected:
            detail = f"Event {expected} is missing: found {event.sequence} instead."
            raise ConflictError("event_conflict", detail, remedy=f"Send every event from {expected} on, in order.")
    return fresh


def _store(uow: UnitOfWork, execution: Execution, fresh: Sequence[ExecutionEvent]) -> None:
    project_id, run_id = execution.project_id, execution.run_id
    if execution.last_sequence == 0:  # whoever reports has started, so the start cannot be repeated any more
        uow.tokens.revoke(execution.execution_id, kind=DISPATCH)
    for event in fresh:
        data = msgspec.to_builtins(event)
        uow.events.add(project_id, run_id, data.pop("type"), event.at, data)
    metrics = [
        Metric(
            run_id=run_id,
            sequence=event.sequence,
            name=event.name,
            step=event.step,
            value=event.value,
            logged_at=event.at,
        )
        for event in fresh
        if isinstance(event, MetricLogged)
    ]
    if metrics:
        uow.metrics.add(project_id, metrics)
    if any(isinstance(event, NotebookStarted | CellStarted | CellEnded) for event in fresh):
        run = require(uow.runs.get(project_id, run_id), "run")
        uow.runs.set_progress(project_id, run_id, progress_after(run.progress, fresh))
    save(uow, msgspec.structs.replace(execution, last_sequence=fresh[-1].sequence))


def progress_after(progress: Progress, events: Sequence[ExecutionEvent]) -> Progress:
    """Return how far a run is after further events."""
    for event in events:
        if isinstance(event, NotebookStarted):
            progress = Progress(cells_total=event.cells_total)
        elif isinstance(event, CellStarted):
            progress = msgspec.structs.replace(progress, current_cell=event.cell_id)
        elif isinstance(event, CellEnded):
            done = progress.cells_done + 1
            progress = msgspec.structs.replace(progress, cells_done=done, current_cell=None)
    return progress


def _faults(events: Sequence[ExecutionEvent], limits: Limits) -> list[Fault]:
    if len(events) > limits.events_per_report:
        words = f"must be at most {limits.events_per_report} events, not {len(events)}"
        return [Fault(path="$.events", code="too_many", message=words)]
    words = f"must be 1 to {limits.name_bytes} bytes of printable text"
    return [
        Fault(path=f"$.events[{index}].name", code="invalid_name", message=words)
        for index, event in enumerate(events)
        if isinstance(event, MetricLogged) and not _is_name(event.name, limits)
    ]


def _is_name(name: str, limits: Limits) -> bool:
    return 0 < len(name.encode(errors="replace")) <= limits.name_bytes and not UNPRINTABLE.search(name)
