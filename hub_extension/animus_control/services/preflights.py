# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A submission is checked and left alone: no run, no place in the queue, no quota, only the record of the checks.

What the control plane knows is answered at once, every fault of it; what is in the repository by the data plane. A
refusal by a policy is a check that failed, not an error: to learn of it is what was asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.audit import Action
from animus_contracts.environments import EnvironmentLock, EnvironmentState
from animus_contracts.identifiers import PreflightId
from animus_contracts.inspections import Inspection
from animus_contracts.preflights import Check, CheckName, CheckState, PolicyForecast, Preflight
from animus_contracts.problems import Fault
from animus_contracts.runs import RunState, SubmitRun
from animus_control.domain import preflights as domain
from animus_control.domain.environments import limit_faults
from animus_control.domain.errors import AnimusError, InvalidError
from animus_control.domain.queue import demand_of, shape_of
from animus_control.domain.quotas import Standing
from animus_control.domain.waiting import explain
from animus_control.services.binding import missing_faults
from animus_control.services.calls import Call, audited
from animus_control.services.inspections import request_inspection, when_inspected
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.quotas import check_priority
from animus_control.services.scope import by_id, project_of
from animus_control.services.submission import judge

UNDECIDED = "It cannot be told before the submission names an environment lock that is there."
NO_LOCK = "There is no such environment lock in this project."


@operation("preflights.create")
def create_preflight(uow: UnitOfWork, call: Call, message: SubmitRun) -> Preflight:
    """Check a submission without submitting it."""
    lock = uow.environment_locks.get(project_of(call).project_id, message.environment_lock_id)
    missing = missing_faults(uow, call, message)
    decision, decided = _outlook(uow, call, message, lock, missing)
    inspection, looked_at = _inspection(uow, call, message)
    checks = [
        *domain.checks_of_form(message, call.limits),
        domain.checked(CheckName.DATASETS, missing, remedy="Name dataset versions and artifacts of this project."),
        *_environment(uow, message, lock),
        *decided,
        *looked_at,
    ]
    preflight = Preflight(
        preflight_id=PreflightId(call.new_id()),
        project_id=project_of(call).project_id,
        submission=domain.without_secrets(message),
        created_at=call.now,
        created_by=call.principal.subject,
        inspection_id=inspection.inspection_id if inspection else None,
        decision=decision,
        state=AnswerState.PENDING if inspection else AnswerState.ANSWERED,
        checks=domain.merged([], checks),
        ready=domain.is_ready(checks),
        ended_at=None if inspection else call.now,
    )
    uow.preflights.add(preflight)
    _audit(uow, call, Action.PREFLIGHT_CREATED, preflight)
    return preflight


@operation("preflights.read")
def read_preflight(uow: UnitOfWork, call: Call, message: None) -> Preflight:  # noqa: ARG001 - every operation has a message
    """Return a preflight."""
    return by_id(call, uow.preflights, "preflight", "preflight")


@when_inspected
def fill_in(uow: UnitOfWork, call: Call, inspection: Inspection) -> None:
    """Complete the preflight that waits for an inspection, if one does."""
    preflight = uow.preflights.find(inspection.project_id, inspection_id=inspection.inspection_id)
    if preflight is None:
        return
    checks = domain.merged(preflight.checks, domain.checks_of_inspection(preflight.submission, inspection))
    ended = msgspec.structs.replace(
        preflight, state=AnswerState.ANSWERED, checks=checks, ready=domain.is_ready(checks), ended_at=call.now
    )
    uow.preflights.save(ended)
    _audit(uow, call, Action.PREFLIGHT_ENDED, ended)


def _outlook(
    uow: UnitOfWork, call: Call, message: SubmitRun, lock: EnvironmentLock | None, missing: Sequence[Fault]
) -> tuple[PolicyForecast | None, list[Check]]:
    """Ask policies, quota and executors of the submission as it would be once its other faults are mended."""
    names = (CheckName.POLICY, CheckName.QUOTA, CheckName.EXECUTOR)
    if lock is None:
        return None, [Check(name=name, state=CheckState.FAILED, detail=UNDECIDED) for name in names]
    priority = _priority_faults(uow, call, message)
    judged = judge(uow, call, domain.mended(message, missing, lock, keeps_priority=not priority))
    forecast = domain.forecast_of(judged.decision)
    queued = msgspec.structs.replace(judged.draft.run, state=RunState.QUEUED)
    told = partial(
        explain,
        queued,
        demand=demand_of(shape_of(queued)),
        platform=lock.platform,
        executors=uow.executors.seen_since(call.now - call.limits.executor_seen),
        now=call.now,
    )
    quota = domain.check_of_waiting(CheckName.QUOTA, told(standing=uow.quotas.standing(lock.project_id, call.now)))
    if priority:
        quota = domain.checked(CheckName.QUOTA, priority, remedy="Submit it with less.")
    executor = domain.check_of_waiting(CheckName.EXECUTOR, told(standing=Standing()))
    return forecast, [domain.check_of_policy(forecast), quota, executor]


def _priority_faults(uow: UnitOfWork, call: Call, message: SubmitRun) -> list[Fault]:
    try:
        check_priority(uow, call, message)
    except InvalidError as error:
        return error.faults
    return []


def _inspection(uow: UnitOfWork, call: Call, message: SubmitRun) -> tuple[Inspection | None, list[Check]]:
    code = message.code
    try:
        inspection = request_inspection(uow, call, repository=code.repository, ref=code.commit, path=code.path)
    except AnimusError:
        return None, domain.unanswerable_checks("The code reference names nothing that could be looked at.")
    return inspection, domain.pending_checks()


def _environment(uow: UnitOfWork, message: SubmitRun, lock: EnvironmentLock | None) -> list[Check]:
    if lock is None:
        absent = [Fault(path="$.environment_lock_id", code="environment_lock_not_found", message=NO_LOCK)]
        return [domain.checked(name, absent) for name in (CheckName.ENVIRONMENT, CheckName.RESOURCES)]
    environment = uow.environments.get(lock.project_id, lock.environment_id)
    name = f"{lock.environment} version {lock.environment_version}"
    found = domain.checked(CheckName.ENVIRONMENT, [], passed=f"{name}, locked for {lock.platform}")
    if environment is not None and environment.state is EnvironmentState.ARCHIVED:
        detail = f"{name} is archived; its lock can still be used."
        found = Check(name=CheckName.ENVIRONMENT, state=CheckState.WARNING, detail=detail)
    over = limit_faults(message.resources, lock.limits) if message.resources else []
    remedy = "Ask for less, or define the next version of the environment with higher limits."
    return [found, domain.checked(CheckName.RESOURCES, over, remedy=remedy)]


def _audit(uow: UnitOfWork, call: Call, action: Action, preflight: Preflight) -> None:
    details: dict[str, Any] = {
        "ready": preflight.ready,
        "failed": [check.name for check in preflight.checks if check.state is CheckState.FAILED],
    }
    resource = f"preflight:{preflight.preflight_id}"
    uow.audit.append(audited(call, action, resource, project_id=preflight.project_id, details=details))
