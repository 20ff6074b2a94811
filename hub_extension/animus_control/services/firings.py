# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A schedule whose time has come submits its run with its owner's rights of that moment, or says why it did not.

It needs not run on time or only once: each time is claimed by compare-and-set on the schedule, and kept as one firing.
It is pending, and says why, until the data plane has looked its branch up and the Hub has said what its owner belongs
to; what waits too long has been missed.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.audit import Action
from animus_contracts.identifiers import FiringId, InspectionId
from animus_contracts.inspections import Inspection
from animus_contracts.origins import ScheduleRef
from animus_contracts.pages import ListQuery, Page
from animus_contracts.permissions import Permission
from animus_contracts.runs import TERMINAL_STATES, CancelRun, Limitation, Run, SubmitRun
from animus_contracts.schedules import Firing, FiringState, Overlap, Schedule, ScheduleState
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import SYSTEM
from animus_control.domain.permissions import RANK
from animus_control.domain.runs import check_submission
from animus_control.domain.schedules import Due, due_of
from animus_control.services.access import RefusedError
from animus_control.services.acting import on_behalf
from animus_control.services.calls import Call, audited
from animus_control.services.inspections import request_inspection, when_inspected
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.repeats import newest_attempt_of
from animus_control.services.runs import cancel_run
from animus_control.services.schedules import schedule_of
from animus_control.services.scope import require
from animus_control.services.submission import Ties, admit
from animus_control.services.user_groups import UnknownGroupsError

BATCH = 50
MISSED = "the control plane was not running at that time"
BUSY = "the previous run has not ended"
NEW = 0
"""Version of a firing that is not stored yet."""


def fire_due(uow: UnitOfWork, call: Call) -> int:
    """Fire the schedules whose time has come; call it every second or so with the system's principal.

    Returns:
        How many were due, at most :data:`BATCH`.
    """
    found = uow.schedules.due(call.now, limit=BATCH)
    for schedule in found:
        due = due_of(schedule, call.now)
        state = schedule.state if due.next_at else ScheduleState.RETIRED
        after = msgspec.structs.replace(schedule, next_at=due.next_at, state=state, version=schedule.version + 1)
        if not uow.schedules.compare_and_set(after, expected_version=schedule.version):
            continue
        _record_missed(uow, call, schedule, due)
        if due.fires:
            _fire(uow, call, schedule, _new(call, schedule, due.fires))
    return len(found)


def resume_firings(uow: UnitOfWork, call: Call) -> int:
    """Go on with firings that wait for nothing any more; call it every second or so with the system's principal.

    Returns:
        How many were handled.
    """
    late = uow.firings.overdue(call.now - call.limits.hold, limit=BATCH)
    for firing in late:
        minutes = call.limits.hold // timedelta(minutes=1)
        reason = f"given up after {minutes} minutes: {firing.reason}"
        _settle(uow, call, firing, FiringState.MISSED, reason=reason)
    ready = uow.firings.ready(known_since=call.now - call.limits.groups_known, limit=BATCH)
    for firing in ready:
        _go_on(uow, call, firing)
    return len(late) + len(ready)


@operation("firings.list")
def list_firings(uow: UnitOfWork, call: Call, message: ListQuery) -> Page[Firing]:
    """List when a schedule was due."""
    schedule = schedule_of(uow, call)
    return paged(uow.firings.page, message, schedule.project_id, schedule_id=schedule.schedule_id)


@when_inspected
def fire_inspected(uow: UnitOfWork, call: Call, inspection: Inspection) -> None:
    """Go on with the firing that waited for a look at its branch."""
    firing = uow.firings.find(inspection.project_id, inspection_id=inspection.inspection_id)
    if firing is not None and firing.state is FiringState.PENDING:
        _go_on(uow, replace(call, principal=SYSTEM), firing)


def _go_on(uow: UnitOfWork, call: Call, firing: Firing) -> None:
    schedule = require(uow.schedules.get(firing.project_id, firing.schedule_id), "schedule")
    if schedule.state is not ScheduleState.ACTIVE:
        _settle(uow, call, firing, FiringState.SKIPPED, reason=f"the schedule is {schedule.state}")
    elif not schedule.ref:
        _submit(uow, call, schedule, firing, schedule.submission)
    elif firing.inspection_id is None:
        _inspect(uow, call, schedule, firing)
    else:
        _submit_found(uow, call, schedule, firing, firing.inspection_id)


def _submit_found(uow: UnitOfWork, call: Call, schedule: Schedule, firing: Firing, inspection_id: InspectionId) -> None:
    inspection = require(uow.inspections.get(firing.project_id, inspection_id), "inspection")
    findings = inspection.findings
    if inspection.state is not AnswerState.ANSWERED or findings is None:
        _settle(uow, call, firing, FiringState.REFUSED, reason=inspection.failure)
    elif findings.problem is not None:
        _settle(uow, call, firing, FiringState.REFUSED, reason=findings.problem.summary)
    else:
        given = schedule.submission
        # What the worktree looked like when the schedule was made says nothing about the branch.
        limitations = [each for each in given.limitations if each is not Limitation.DIRTY_WORKTREE]
        code = msgspec.structs.replace(given.code, commit=findings.commit)
        message = msgspec.structs.replace(
            given, code=code, parameters_schema=findings.parameters, limitations=limitations
        )
        _submit(uow, call, schedule, firing, message)


def _new(call: Call, schedule: Schedule, due_at: datetime) -> Firing:
    return Firing(
        firing_id=FiringId(call.new_id()),
        project_id=schedule.project_id,
        schedule_id=schedule.schedule_id,
        due_at=due_at,
        created_at=call.now,
        version=NEW,
    )


def _record_missed(uow: UnitOfWork, call: Call, schedule: Schedule, due: Due) -> None:
    if not due.missed:
        return
    for moment in due.missed:
        earlier = f"; so were {due.unrecorded} times before" if due.unrecorded and moment == due.missed[0] else ""
        missed = msgspec.structs.replace(
            _new(call, schedule, moment), state=FiringState.MISSED, reason=MISSED + earlier
        )
        _store(uow, missed)
    details = {"state": FiringState.MISSED, "count": len(due.missed) + due.unrecorded}
    _audit(uow, call, schedule.project_id, schedule.schedule_id, details)


def _fire(uow: UnitOfWork, call: Call, schedule: Schedule, firing: Firing) -> None:
    reason = _hindrance(uow, schedule) if schedule.overlap is Overlap.SKIP else ""
    if reason:
        _settle(uow, call, firing, FiringState.SKIPPED, reason=reason)
    else:
        _go_on(uow, call, firing)


def _inspect(uow: UnitOfWork, call: Call, schedule: Schedule, firing: Firing) -> None:
    code = schedule.submission.code
    try:
        acting = _in_owners_name(uow, call, schedule)
        asked = request_inspection(uow, acting, repository=code.repository, ref=schedule.ref, path=code.path)
    except UnknownGroupsError as error:
        _wait(uow, call, firing, error.detail)
    except AnimusError as error:
        _settle(uow, call, firing, FiringState.REFUSED, reason=str(error))
    else:
        reason = f"no executor has looked {schedule.ref} up yet"
        _store(uow, msgspec.structs.replace(firing, inspection_id=asked.inspection_id, reason=reason))


def _submit(uow: UnitOfWork, call: Call, schedule: Schedule, firing: Firing, message: SubmitRun) -> None:
    ties = Ties(schedule=ScheduleRef(schedule_id=schedule.schedule_id, firing_id=firing.firing_id))
    running = _running(uow, schedule)
    try:
        check_submission(message, call.limits)
        acting = _in_owners_name(uow, call, schedule)
        run = admit(uow, acting, message, ties)
    except UnknownGroupsError as error:
        _wait(uow, call, firing, error.detail)
        return
    except RefusedError as error:
        error.record(uow)
        decision = error.extra.get("decision_id")
        _settle(uow, call, firing, FiringState.REFUSED, reason=error.detail, decision_id=decision)
        return
    except AnimusError as error:
        _settle(uow, call, firing, FiringState.REFUSED, reason=error.detail)
        return
    _settle(uow, call, firing, FiringState.FIRED, run_id=run.run_id, commit_id=run.code.commit)
    if running is not None and schedule.overlap is Overlap.CANCEL_PREVIOUS:
        reason = CancelRun(reason=f"the schedule {schedule.name!r} has started its next run")
        cancel_run(uow, replace(acting, path={"run": running.run_id}), reason)


def _in_owners_name(uow: UnitOfWork, call: Call, schedule: Schedule) -> Call:
    project = require(uow.projects.get(schedule.project_id), "project")
    acting = on_behalf(uow, call, project, schedule.created_by, Permission.RUN_SUBMIT)
    role = min(acting.role or schedule.role, schedule.role, key=RANK.__getitem__)
    return replace(acting, role=role)


def _hindrance(uow: UnitOfWork, schedule: Schedule) -> str:
    """Return why a schedule that does not overlap with itself is not fired; empty when it may be."""
    pending = uow.firings.last(schedule.project_id, schedule.schedule_id, FiringState.PENDING)
    if pending is not None:
        return f"the previous firing is pending: {pending.reason}"
    return BUSY if _running(uow, schedule) is not None else ""


def _running(uow: UnitOfWork, schedule: Schedule) -> Run | None:
    firing = uow.firings.last(schedule.project_id, schedule.schedule_id, FiringState.FIRED)
    if firing is None or firing.run_id is None:
        return None
    run = newest_attempt_of(uow, require(uow.runs.get(firing.project_id, firing.run_id), "run"))
    is_over = run.state in TERMINAL_STATES and uow.held_retries.get(run.project_id, run.run_id) is None
    return None if is_over else run


def _wait(uow: UnitOfWork, call: Call, firing: Firing, reason: str) -> None:
    if firing.reason != reason:
        _settle(uow, call, firing, FiringState.PENDING, reason=reason)


def _settle(uow: UnitOfWork, call: Call, firing: Firing, state: FiringState, *, reason: str = "", **facts: Any) -> None:
    after = msgspec.structs.replace(firing, state=state, reason=reason, **facts)
    if not _store(uow, after):
        return
    details = {"firing_id": after.firing_id, "due_at": after.due_at.isoformat(), "state": state}
    known = {name: value for name in ("run_id", "decision_id", "reason") if (value := getattr(after, name))}
    _audit(uow, call, firing.project_id, firing.schedule_id, details | known)


def _store(uow: UnitOfWork, firing: Firing) -> bool:
    after = msgspec.structs.replace(firing, version=firing.version + 1)
    if firing.version != NEW:
        return uow.firings.compare_and_set(after, expected_version=firing.version)
    uow.firings.add(after)
    return True


def _audit(uow: UnitOfWork, call: Call, project_id: Any, schedule_id: str, details: dict[str, Any]) -> None:
    record = audited(call, Action.SCHEDULE_FIRED, f"schedule:{schedule_id}", project_id=project_id, details=details)
    uow.audit.append(record)
