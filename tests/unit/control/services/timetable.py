# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A schedule at a desk whose clock goes by minutes, and what became of it each time it was due."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from animus_contracts.pages import ListQuery
from animus_contracts.projects import Role
from animus_contracts.runs import Run
from animus_contracts.schedules import CreateSchedule, Firing, FiringState, Schedule
from animus_control.domain.identity import EVERY_PROJECT, SYSTEM, Principal, PrincipalKind
from animus_control.services.firings import fire_due
from tests.unit.control.services.desk import ED, VIC, Desk

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ELLA = Principal(name="ella", kind=PrincipalKind.USER, ceiling={EVERY_PROJECT: Role.ADMIN})


def create(desk: Desk, who: Principal = ED, **changes: Any) -> Schedule:
    """Create a schedule of every ten minutes; the project is made first unless there is a submission."""
    if "submission" not in changes:
        desk.project()
        changes["submission"] = desk.submission()
    values: dict[str, Any] = {"name": "nightly", "cron": "*/10 * * * *"}
    schedule: Schedule = desk.do(who, "schedules.create", CreateSchedule(**values | changes), project="demo")
    return schedule


def tick(desk: Desk) -> int:
    call = desk.call(SYSTEM)
    return desk.write(lambda uow: fire_due(uow, call))


def pass_minutes(desk: Desk, minutes: float) -> None:
    desk.later(minutes * 60)
    tick(desk)


def firings(desk: Desk, name: str = "nightly") -> list[Firing]:
    page = desk.do(VIC, "firings.list", ListQuery(), project="demo", schedule=name)
    items: list[Firing] = page.items
    return items


def states(desk: Desk) -> list[FiringState]:
    return [firing.state for firing in reversed(firings(desk))]


def run_of(desk: Desk, firing: Firing) -> Run:
    assert firing.run_id is not None
    run: Run = desk.do(VIC, "runs.read", project="demo", run=firing.run_id)
    return run


def read(desk: Desk, name: str = "nightly") -> Schedule:
    schedule: Schedule = desk.do(VIC, "schedules.read", project="demo", schedule=name)
    return schedule
