# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Approvals, schedules and firings, in the project of ``records_of_a_project``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from animus_contracts.approvals import Approval
from animus_contracts.identifiers import ApprovalId, FiringId, ScheduleId
from animus_contracts.projects import Role
from animus_contracts.runs import Run, SubmitRun
from animus_contracts.schedules import CatchUp, Firing, Overlap, Schedule, ScheduleState
from animus_control.services.ports import UnitOfWork
from tests.ports.records_of_a_project import CODE, DECISION_ID, LOCK_ID, NOW, PROJECT_ID, WHO, identifier


def an_approval(run: Run, number: int = 500, **more: Any) -> Approval:
    values: dict[str, Any] = {
        "approval_id": ApprovalId(identifier(number)),
        "project_id": PROJECT_ID,
        "run_id": run.run_id,
        "decision_id": DECISION_ID,
        "reason": "four eyes",
        "requested_by": WHO,
        "requested_at": NOW,
        "expires_at": NOW + timedelta(days=7),
    }
    return Approval(**values | more)


def a_schedule(number: int = 510, **more: Any) -> Schedule:
    values: dict[str, Any] = {
        "schedule_id": ScheduleId(identifier(number)),
        "project_id": PROJECT_ID,
        "name": "nightly",
        "cron": "0 6 * * *",
        "time_zone": "UTC",
        "submission": SubmitRun(code=CODE, environment_lock_id=LOCK_ID),
        "ref": "",
        "overlap": Overlap.SKIP,
        "catch_up": CatchUp.NONE,
        "role": Role.EDITOR,
        "created_at": NOW,
        "created_by": WHO,
        "next_at": NOW + timedelta(hours=1),
    }
    return Schedule(**values | more)


def a_firing(number: int = 520, **more: Any) -> Firing:
    values: dict[str, Any] = {
        "firing_id": FiringId(identifier(number)),
        "project_id": PROJECT_ID,
        "schedule_id": ScheduleId(identifier(510)),
        "due_at": NOW,
        "created_at": NOW,
    }
    return Firing(**values | more)


def add_rules(uow: UnitOfWork, run: Run) -> None:
    """Store an approval, a schedule that rests, and a firing of it."""
    uow.approvals.add(an_approval(run))
    uow.schedules.add(a_schedule(state=ScheduleState.PAUSED, next_at=None))
    uow.firings.add(a_firing(run_id=run.run_id))
