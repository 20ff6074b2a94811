# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The queue is read by its heads: what is asked costs the same whether ten runs wait or ten thousand.

The index of the queue begins with platform, project and shape. A recursive query leaps through it from one project to
the next, and within a project from one shape to the next (a loose index scan, which neither database does by itself),
and takes the first run of each.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CTE, ColumnElement, Select, TextClause, and_, bindparam, func, or_, select, update
from sqlalchemy.sql.selectable import ScalarSelect

from animus_contracts.identifiers import ProjectId
from animus_contracts.runs import Run
from animus_control.domain.queue import Head
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.runs import LAYOUT
from animus_control.storage.run_tables import DUE, HELD, IN_USE, QUEUED, READY, runs
from animus_control.storage.session import Session


def _ready(*conditions: ColumnElement[bool]) -> tuple[ColumnElement[bool] | TextClause, ...]:
    # READY is the very text of the index's condition: bound values would not let the database use it.
    return READY, runs.c.platform == bindparam("platform"), *conditions


def waiting_projects() -> CTE:
    """Build the table of the projects that have a run ready on the bound ``platform``."""
    project = runs.c.project_id
    found = select(_first(project).label("project_id")).cte("waiting_projects", recursive=True)
    after = _first(project, project > found.c.project_id)
    return found.union_all(select(after).where(found.c.project_id.is_not(None)))


def _lanes() -> CTE:
    """Build the table of (project, shape) pairs that have a run ready."""
    projects, shape = waiting_projects(), runs.c.shape
    first = _first(shape, runs.c.project_id == projects.c.project_id)
    found = (
        select(projects.c.project_id, first.label("shape"))
        .where(projects.c.project_id.is_not(None))
        .cte("lanes", recursive=True)
    )
    after = _first(shape, runs.c.project_id == found.c.project_id, shape > found.c.shape)
    return found.union_all(select(found.c.project_id, after).where(found.c.shape.is_not(None)))


def _heads() -> Select[Any]:
    # Each column is looked up in the index by itself: asked to join, PostgreSQL would read every run there is.
    lanes = _lanes()
    place = (runs.c.priority.desc(), runs.c.queued_at, runs.c.run_id)
    lane = (runs.c.project_id == lanes.c.project_id, runs.c.shape == lanes.c.shape)
    found = [
        select(column).where(*_ready(*lane)).order_by(*place).limit(1).correlate_except(runs).scalar_subquery()
        for column in (runs.c.run_id, runs.c.priority, runs.c.queued_at)
    ]
    names = ("run_id", "priority", "queued_at")
    columns = [column.label(name) for name, column in zip(names, found, strict=True)]
    return select(lanes.c.project_id, lanes.c.shape, *columns).where(lanes.c.shape.is_not(None))


def _first(column: ColumnElement[Any], *conditions: ColumnElement[bool]) -> ScalarSelect[Any]:
    """Build the query for the least value of a column; a minimum is not always looked up in the index."""
    query = select(column).where(*_ready(*conditions)).order_by(column).limit(1)
    return query.correlate_except(runs).scalar_subquery()


_BEFORE = or_(
    runs.c.priority > bindparam("priority"),
    and_(runs.c.priority == bindparam("priority"), runs.c.queued_at < bindparam("queued_at")),
    and_(
        runs.c.priority == bindparam("priority"),
        runs.c.queued_at == bindparam("queued_at"),
        runs.c.run_id < bindparam("run"),
    ),
)
_COUNT = func.count().label("runs")
_HEADS = Prepared(_heads())
_PLATFORM = Prepared(
    select(runs.c.platform).where(runs.c.project_id == bindparam("project"), runs.c.run_id == bindparam("run"))
)
_AHEAD = Prepared(select(_COUNT).where(*_ready(runs.c.project_id == bindparam("project"), _BEFORE)))
_LENGTHS = Prepared(select(runs.c.project_id, _COUNT).where(*_ready()).group_by(runs.c.project_id))
_RUNNING = Prepared(select(_COUNT).where(IN_USE, runs.c.platform == bindparam("platform")))
_OVER = (HELD, runs.c.held_until <= bindparam("now"))
_RELEASABLE = Prepared(select(runs.c.platform).where(*_OVER).distinct())
_RELEASE = Prepared(update(runs).where(*_OVER).values(held_until=None))
_PAST = LAYOUT.select().where(DUE, runs.c.due_at <= bindparam("now")).order_by(runs.c.due_at).limit(bindparam("count"))
_IMPATIENT = Prepared(_PAST.where(QUEUED))
_OVERDUE = Prepared(_PAST.where(IN_USE))


class QueueTable:
    """Runs in the order in which they go to executors, and those whose time is over."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def heads(self, platform: str) -> list[Head]:
        """Return the first run of each project and shape that is ready on a platform."""
        return [Head(**row._asdict()) for row in self._session.all(_HEADS, {"platform": platform})]

    def platform(self, run: Run) -> str:
        """Return the platform a run needs."""
        return str(self._session.all(_PLATFORM, {"project": run.project_id, "run": run.run_id})[0].platform)

    def ahead(self, run: Run, platform: str) -> int:
        """Return how many runs of its project go before a queued one."""
        values: dict[str, Any] = {"platform": platform, "project": run.project_id, "run": run.run_id}
        values |= {"priority": run.priority, "queued_at": run.queued_at}
        return int(self._session.all(_AHEAD, values)[0].runs)

    def lengths(self, platform: str) -> dict[ProjectId, int]:
        """Return how many runs each project has ready on a platform."""
        return {row.project_id: row.runs for row in self._session.all(_LENGTHS, {"platform": platform})}

    def running(self, platform: str) -> int:
        """Return how many runs of a platform executors hold."""
        return int(self._session.all(_RUNNING, {"platform": platform})[0].runs)

    def release(self, now: datetime) -> list[str]:
        """Let the runs whose backoff is over into the queue; return their platforms."""
        platforms = [row.platform for row in self._session.all(_RELEASABLE, {"now": now})]
        if platforms:
            self._session.change(_RELEASE, {"now": now}, fact="runs.held_until")
        return platforms

    def impatient(self, now: datetime, *, limit: int) -> list[Run]:
        """Return queued runs that may wait no longer, the longest overdue first."""
        return [LAYOUT.read(row) for row in self._session.all(_IMPATIENT, {"now": now, "count": limit})]

    def overdue(self, now: datetime, *, limit: int) -> list[Run]:
        """Return runs that executors hold and whose wall time is over, the longest overdue first."""
        return [LAYOUT.read(row) for row in self._session.all(_OVERDUE, {"now": now, "count": limit})]
