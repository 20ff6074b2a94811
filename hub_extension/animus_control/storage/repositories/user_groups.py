# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One row per user the Hub was asked about; who is asked about follows from what is stored, so nobody is forgotten."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, bindparam, exists, or_, select, union, update
from sqlalchemy import text as condition

from animus_control.domain.identity import PrincipalKind
from animus_control.domain.user_groups import KnownGroups
from animus_control.storage.pipeline_tables import IN_PROGRESS, pipeline_runs
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.rule_tables import ACTIVE, firings, schedules
from animus_control.storage.run_tables import IN_USE, held_retries, runs
from animus_control.storage.session import Session
from animus_control.storage.tables import user_groups

USER = f"{PrincipalKind.USER}:"
_GET = Prepared(
    select(user_groups.c.member_of, user_groups.c.as_of, user_groups.c.failure).where(
        user_groups.c.subject == bindparam("who")
    )
)
_ADD = adding(user_groups)
_CHANGE = Prepared(
    update(user_groups)
    .where(user_groups.c.subject == bindparam("who"))
    .values({name: bindparam(f"new_{name}") for name in ("member_of", "as_of", "failure")})
)
_ACTING = union(
    select(schedules.c.created_by).where(ACTIVE, schedules.c.next_at <= bindparam("soon")),
    select(schedules.c.created_by)
    .join_from(
        firings,
        schedules,
        (schedules.c.project_id == firings.c.project_id) & (schedules.c.schedule_id == firings.c.schedule_id),
    )
    .where(condition("firings.state = 'pending'")),
    select(pipeline_runs.c.created_by).where(IN_PROGRESS),
    select(runs.c.created_by).where(IN_USE, runs.c.retries > 0),
    select(runs.c.created_by).join_from(
        held_retries,
        runs,
        (runs.c.project_id == held_retries.c.project_id) & (runs.c.run_id == held_retries.c.run_id),
    ),
).subquery()
_NEEDED = (
    select(_ACTING.c.created_by)
    .outerjoin(user_groups, user_groups.c.subject == _ACTING.c.created_by)
    .where(
        _ACTING.c.created_by.startswith(USER),
        or_(user_groups.c.as_of.is_(None), user_groups.c.as_of < bindparam("as_of")),
    )
    .order_by(user_groups.c.as_of.asc().nulls_first(), _ACTING.c.created_by)
    .limit(bindparam("count"))
)


def known_of(owner: ColumnElement[str]) -> ColumnElement[bool]:
    """Build the condition that the groups of an owner are known since the moment ``:known_since``."""
    return exists().where(user_groups.c.subject == owner, user_groups.c.as_of >= bindparam("known_since"))


class UserGroupsTable:
    """What the Hub has said about the groups of users."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> KnownGroups | None:
        """Return what is known of a user."""
        row = self._session.first(_GET, {"who": USER + name})
        if row is None:
            return None
        groups = None if row.member_of is None else frozenset(row.member_of)
        return KnownGroups(name=name, groups=groups, as_of=row.as_of, failure=row.failure)

    def put(self, known: KnownGroups) -> None:
        """Store what the Hub said last."""
        groups = None if known.groups is None else sorted(known.groups)
        values: dict[str, Any] = {"member_of": groups, "as_of": known.as_of, "failure": known.failure}
        subject = USER + known.name
        changes = {f"new_{field}": value for field, value in values.items()}
        if not self._session.change(_CHANGE, {"who": subject, **changes}):
            self._session.change(_ADD, {"subject": subject, **values})

    def needed(self, *, soon: datetime, as_of: datetime, limit: int) -> list[str]:
        """Return users in whose name something is done until ``soon`` and who were not asked about since ``as_of``."""
        rows = self._session.search(_NEEDED, {"soon": soon, "as_of": as_of, "count": limit})
        return [row.created_by.removeprefix(USER) for row in rows]
