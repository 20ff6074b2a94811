# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a project used is a sum per day, added to when a run ends; what runs use that go on is computed when asked.

Amounts are whole numbers of milliseconds times thousandths of cores, MiB or accelerators.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    FromClause,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    insert,
    literal,
    select,
    type_coerce,
    update,
)

from animus_contracts.identifiers import ProjectId
from animus_contracts.quotas import DEFAULT_PERIOD_DAYS, Quota
from animus_control.domain.quotas import Spent, Standing, day_of
from animus_control.storage.columns import EPOCH, MICROSECOND
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.queue import waiting_projects
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.run_tables import IN_USE, runs
from animus_control.storage.session import Session
from animus_control.storage.tables import project_usage, projects, quotas

QUOTAS = Layout[Quota](quotas)
MICROSECONDS_PER_DAY = 86_400_000_000
AMOUNTS = {"cpu": runs.c.cpus_milli, "memory": runs.c.memory_mib, "gpu": runs.c.gpus}
_newest = quotas.alias("newest")


def _sum(amount: ColumnElement[Any]) -> ColumnElement[int]:
    return cast(func.coalesce(func.sum(amount), 0), BigInteger)


def _standings(wanted: FromClause) -> Select[Any]:
    """Build the query for the standing of every project in ``wanted`` at the bound ``now``, whose day is ``today``."""
    project = wanted.c.project_id
    period = func.coalesce(quotas.c.period_days, DEFAULT_PERIOD_DAYS)
    first_day = bindparam("today", type_=BigInteger) - period + 1
    now = bindparam("now", type_=BigInteger)  # in microseconds: it is counted with
    began, midnight = type_coerce(runs.c.started_at, BigInteger), first_day * MICROSECONDS_PER_DAY
    since = case((began.is_(None), now), (began > midnight, began), else_=midnight)
    milliseconds = (now - since) // literal(1000, BigInteger)
    newest = select(func.max(_newest.c.version)).where(_newest.c.project_id == project).scalar_subquery()
    joined = wanted.outerjoin(quotas, and_(quotas.c.project_id == project, quotas.c.version == newest)).outerjoin(
        runs, and_(runs.c.project_id == project, IN_USE)
    )
    spent = {
        name: select(_sum(project_usage.c[name]))
        .where(project_usage.c.project_id == project, project_usage.c.day >= first_day)
        .scalar_subquery()
        for name in AMOUNTS
    }
    return (
        select(
            project,
            quotas.c.document,
            func.count(runs.c.run_id).label("running"),
            _sum(runs.c.cpus_milli).label("cpus_milli"),
            *[_sum(amount * milliseconds).label(f"live_{name}") for name, amount in AMOUNTS.items()],
            *[amount.label(name) for name, amount in spent.items()],
        )
        .select_from(joined)
        .where(project.is_not(None))
        .group_by(project, quotas.c.document, quotas.c.period_days)
    )


_OF_WAITING = Prepared(_standings(waiting_projects()))
_OF_ONE = Prepared(
    _standings(select(projects.c.project_id).where(projects.c.project_id == bindparam("project")).subquery("wanted"))
)
_DAY = (project_usage.c.project_id == bindparam("project"), project_usage.c.day == bindparam("of_day"))
_ADD = Prepared(
    update(project_usage)
    .where(*_DAY)
    .values({name: project_usage.c[name] + bindparam(f"more_{name}") for name in AMOUNTS})
)
_BEGIN = Prepared(
    insert(project_usage)
    .values({"project_id": bindparam("project"), "day": bindparam("of_day")}
            | {name: bindparam(f"more_{name}") for name in AMOUNTS})
    .inline()
)  # fmt: skip


class QuotaTable(RecordTable[Quota]):
    """Quota versions, and what projects use."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, QUOTAS)

    def standing(self, project_id: ProjectId, now: datetime) -> Standing:
        """Return what a project may use and uses."""
        return _read(self._session.all(_OF_ONE, {"project": project_id, **_moment(now)})[0])

    def standings(self, platform: str, now: datetime) -> dict[ProjectId, Standing]:
        """Return what every project with a run ready on the platform may use and uses."""
        rows = self._session.all(_OF_WAITING, {"platform": platform, **_moment(now)})
        return {row.project_id: _read(row) for row in rows}

    def spend(self, project_id: ProjectId, day: int, spent: Spent) -> None:
        """Add to what a project used on a day."""
        values = {"project": project_id, "of_day": day}
        values |= {"more_cpu": spent.cpu, "more_memory": spent.memory, "more_gpu": spent.gpu}
        # One writer at a time holds the log's head, so nobody can begin the day between the two.
        if not self._session.change(_ADD, values):
            self._session.change(_BEGIN, values)


def _moment(now: datetime) -> dict[str, Any]:
    return {"now": (now - EPOCH) // MICROSECOND, "today": day_of(now)}


def _read(row: Any) -> Standing:
    spent = Spent(cpu=row.cpu + row.live_cpu, memory=row.memory + row.live_memory, gpu=row.gpu + row.live_gpu)
    return Standing(quota=row.document, running=row.running, cpus_milli=row.cpus_milli, spent=spent)
