# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A schedule moves by compare-and-set on its version until it is retired; a time it was due has at most one firing."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, exists, func, select, update

from animus_contracts.answers import AnswerState
from animus_contracts.identifiers import ProjectId, ScheduleId
from animus_contracts.schedules import Firing, FiringState, Schedule
from animus_control.storage.check_tables import inspections
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.repositories.user_groups import known_of
from animus_control.storage.rule_tables import ACTIVE, NOT_RETIRED, PENDING, firings, schedules
from animus_control.storage.session import Session

LAYOUT = Layout[Schedule](schedules, changing=("state", "version", "next_at"))
FIRINGS = Layout[Firing](
    firings, changing=("state", "version", "inspection_id", "reason", "commit_id", "run_id", "decision_id")
)
_DUE = Prepared(
    LAYOUT.select()
    .where(ACTIVE, schedules.c.next_at <= bindparam("now"))
    .order_by(schedules.c.next_at)
    .limit(bindparam("count"))
)
_NAMED = Prepared(
    LAYOUT.select().where(
        schedules.c.project_id == bindparam("project"), schedules.c.name == bindparam("wanted"), NOT_RETIRED
    )
)
_COUNT = Prepared(select(func.count()).where(schedules.c.project_id == bindparam("project"), NOT_RETIRED))
_MOVE = Prepared(
    update(schedules)
    .where(
        schedules.c.project_id == bindparam("project"),
        schedules.c.schedule_id == bindparam("id"),
        schedules.c.version == bindparam("expected_version"),
        NOT_RETIRED,
    )
    .values({name: bindparam(f"new_{name}") for name in LAYOUT.changing})
)
_SETTLE = Prepared(
    update(firings)
    .where(
        firings.c.project_id == bindparam("project"),
        firings.c.firing_id == bindparam("id"),
        firings.c.version == bindparam("expected_version"),
        PENDING,
    )
    .values({name: bindparam(f"new_{name}") for name in FIRINGS.changing})
)
_OVERDUE = Prepared(
    FIRINGS.select()
    .where(PENDING, firings.c.created_at < bindparam("before"))
    .order_by(firings.c.created_at)
    .limit(bindparam("count"))
)
_UNDER_WAY = exists().where(
    inspections.c.project_id == firings.c.project_id,
    inspections.c.inspection_id == firings.c.inspection_id,
    inspections.c.state == AnswerState.PENDING,
)
_OWNED = exists().where(
    schedules.c.project_id == firings.c.project_id,
    schedules.c.schedule_id == firings.c.schedule_id,
    known_of(schedules.c.created_by),
)
_READY = Prepared(
    FIRINGS.select()
    .where(firings.c.state == FiringState.PENDING, ~_UNDER_WAY, _OWNED)
    .order_by(firings.c.created_at)
    .limit(bindparam("count"))
)
_LAST = Prepared(
    FIRINGS.select()
    .where(
        firings.c.project_id == bindparam("project"),
        firings.c.schedule_id == bindparam("id"),
        firings.c.state == bindparam("wanted"),
    )
    .order_by(firings.c.due_at.desc())
    .limit(1)
)


class ScheduleTable(RecordTable[Schedule]):
    """Schedules."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, LAYOUT)

    def named(self, project_id: ProjectId, name: str) -> Schedule | None:
        """Return the schedule of this name that is not retired."""
        row = self._session.first(_NAMED, {"project": project_id, "wanted": name})
        return None if row is None else LAYOUT.read(row)

    def count(self, project_id: ProjectId) -> int:
        """Return how many schedules of the project are not retired."""
        row = self._session.first(_COUNT, {"project": project_id})
        return 0 if row is None else int(row[0])

    def due(self, now: datetime, *, limit: int) -> list[Schedule]:
        """Return active schedules that are due, those that wait longest first."""
        return [LAYOUT.read(row) for row in self._session.all(_DUE, {"now": now, "count": limit})]

    def compare_and_set(self, schedule: Schedule, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one and the schedule is not retired."""
        key = {"project": schedule.project_id, "id": schedule.schedule_id, "expected_version": expected_version}
        return self._session.change(_MOVE, LAYOUT.changes(schedule) | key) == 1


class FiringTable(RecordTable[Firing]):
    """Firings."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, FIRINGS)

    def last(self, project_id: ProjectId, schedule_id: ScheduleId, state: FiringState) -> Firing | None:
        """Return the newest firing of a schedule that is in a state."""
        row = self._session.first(_LAST, {"project": project_id, "id": schedule_id, "wanted": state})
        return None if row is None else FIRINGS.read(row)

    def compare_and_set(self, firing: Firing, *, expected_version: int) -> bool:
        """Store what became of a firing if the stored one is pending and has the expected version."""
        key = {"project": firing.project_id, "id": firing.firing_id, "expected_version": expected_version}
        return self._session.change(_SETTLE, FIRINGS.changes(firing) | key) == 1

    def overdue(self, before: datetime, *, limit: int) -> list[Firing]:
        """Return firings that have been pending since before a moment, the oldest first."""
        rows = self._session.all(_OVERDUE, {"before": before, "count": limit})
        return [FIRINGS.read(row) for row in rows]

    def ready(self, *, known_since: datetime, limit: int) -> list[Firing]:
        """Return pending firings that wait for nothing any more, the oldest first."""
        rows = self._session.all(_READY, {"known_since": known_since, "count": limit})
        return [FIRINGS.read(row) for row in rows]
