# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A schedule is kept by the project's editors and belongs to who made it: it acts in that person's name.

Nobody can lend a schedule more than they have: it never acts with a higher role than the one in use when it was made,
and only its owner or an administrator sets it going again.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from itertools import islice

import msgspec

from animus_contracts.audit import Action
from animus_contracts.identifiers import ScheduleId
from animus_contracts.pages import NamedListQuery, Page
from animus_contracts.permissions import Permission
from animus_contracts.projects import Role
from animus_contracts.schedules import CreateSchedule, Schedule, ScheduleState
from animus_control.domain.errors import ConflictError, DeniedError
from animus_control.domain.inspections import inspection_faults
from animus_control.domain.names import name_faults, refuse
from animus_control.domain.runs import check_submission
from animus_control.domain.schedules import UPCOMING, schedule_faults, times
from animus_control.services.acting import on_behalf
from animus_control.services.binding import bind
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError
from animus_control.services.scope import project_of, require


@operation("schedules.create")
def create_schedule(uow: UnitOfWork, call: Call, message: CreateSchedule) -> Schedule:
    """Create a schedule; what it submits is checked now, and again each time."""
    _check(uow, call, message)
    project_id = project_of(call).project_id
    if uow.schedules.named(project_id, message.name) is not None:
        raise ConflictError("schedule_name_exists", f"A schedule named {message.name!r} exists here.")
    schedule = Schedule(
        schedule_id=ScheduleId(call.new_id()),
        project_id=project_id,
        name=message.name,
        cron=message.cron,
        time_zone=message.time_zone,
        submission=message.submission,
        ref=message.ref,
        overlap=message.overlap,
        catch_up=message.catch_up,
        role=call.role or Role.VIEWER,
        created_at=call.now,
        created_by=call.principal.subject,
        next_at=next(times(message.cron, message.time_zone, call.now)),
    )
    try:
        uow.schedules.add(schedule)
    except AlreadyExistsError as error:
        raise ConflictError("schedule_name_exists", f"A schedule named {message.name!r} exists here.") from error
    details = {"name": schedule.name, "cron": schedule.cron, "time_zone": schedule.time_zone, "ref": schedule.ref}
    _audit(uow, call, Action.SCHEDULE_CREATED, schedule, details | {"overlap": schedule.overlap})
    return _with_upcoming(schedule, call.now)


@operation("schedules.list")
def list_schedules(uow: UnitOfWork, call: Call, message: NamedListQuery) -> Page[Schedule]:
    """List schedules."""
    return paged(uow.schedules.page, message, project_of(call).project_id, name=message.name)


@operation("schedules.read")
def read_schedule(uow: UnitOfWork, call: Call, message: object) -> Schedule:  # noqa: ARG001 - every operation has a message
    """Return a schedule with its next times."""
    return _with_upcoming(schedule_of(uow, call), call.now)


@operation("schedules.pause")
def pause_schedule(uow: UnitOfWork, call: Call, message: None) -> Schedule:  # noqa: ARG001 - as above
    """Let a schedule rest; doing it again changes nothing."""
    return _moved(uow, call, ScheduleState.PAUSED, Action.SCHEDULE_PAUSED)


@operation("schedules.resume")
def resume_schedule(uow: UnitOfWork, call: Call, message: None) -> Schedule:  # noqa: ARG001 - as above
    """Let a schedule go on from now; what was due meanwhile is not made up for."""
    schedule = schedule_of(uow, call)
    if call.principal.subject != schedule.created_by and call.role is not Role.ADMIN:
        detail = f"The schedule acts in the name of {schedule.created_by}, so only they or an administrator resume it."
        raise DeniedError("forbidden", detail)
    return _moved(uow, call, ScheduleState.ACTIVE, Action.SCHEDULE_RESUMED)


@operation("schedules.retire")
def retire_schedule(uow: UnitOfWork, call: Call, message: None) -> Schedule:  # noqa: ARG001 - as above
    """End a schedule for ever; its runs and firings stay."""
    return _moved(uow, call, ScheduleState.RETIRED, Action.SCHEDULE_RETIRED)


def _check(uow: UnitOfWork, call: Call, message: CreateSchedule) -> None:
    code = message.submission.code
    refuse(
        [
            *name_faults(message.name, rule="resource"),
            *schedule_faults(message.cron, message.time_zone, call.now, call.limits),
            *(inspection_faults(code.repository, message.ref, code.path, call.limits) if message.ref else []),
        ]
    )
    check_submission(message.submission, call.limits)
    # Whether it may act later is known now: what administering the platform allows will not be there then.
    on_behalf(uow, call, project_of(call), call.principal.subject, Permission.RUN_SUBMIT)
    bind(uow, call, message.submission)
    if uow.schedules.count(project_of(call).project_id) >= call.limits.schedules:
        remedy = "Remove one that is not needed: animus schedule remove NAME"
        raise ConflictError("too_many_schedules", f"A project has at most {call.limits.schedules}.", remedy=remedy)


def schedule_of(uow: UnitOfWork, call: Call) -> Schedule:
    """Return the schedule named by the path, by id or, unless it is retired, by name."""
    project_id, ref = project_of(call).project_id, call.path["schedule"]
    return require(uow.schedules.get(project_id, ref) or uow.schedules.named(project_id, ref), "schedule")


def _moved(uow: UnitOfWork, call: Call, state: ScheduleState, action: Action) -> Schedule:
    schedule = schedule_of(uow, call)
    if schedule.state is state:
        return _with_upcoming(schedule, call.now)
    is_active = state is ScheduleState.ACTIVE
    next_at = next(times(schedule.cron, schedule.time_zone, call.now), None) if is_active else None
    after = msgspec.structs.replace(schedule, state=state, next_at=next_at, version=schedule.version + 1)
    if not uow.schedules.compare_and_set(after, expected_version=schedule.version):
        raise ConflictError("invalid_transition", f"The schedule is {schedule.state}, or changed at this very moment.")
    _audit(uow, call, action, after, {"name": after.name})
    return _with_upcoming(after, call.now)


def _with_upcoming(schedule: Schedule, now: datetime) -> Schedule:
    if schedule.state is not ScheduleState.ACTIVE:
        return schedule
    upcoming = list(islice(times(schedule.cron, schedule.time_zone, now), UPCOMING))
    return msgspec.structs.replace(schedule, upcoming=upcoming)


def _audit(uow: UnitOfWork, call: Call, action: Action, schedule: Schedule, details: Mapping[str, object]) -> None:
    resource = f"schedule:{schedule.schedule_id}"
    uow.audit.append(audited(call, action, resource, project_id=schedule.project_id, details=details))
