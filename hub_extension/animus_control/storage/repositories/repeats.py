# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One row per retry that waits, and none for any that was decided: the table is as short as the Hub's silence."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Select, bindparam, delete, or_, select

from animus_contracts.identifiers import ProjectId, RunId
from animus_control.domain.repeats import HeldRetry
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.repositories.user_groups import known_of
from animus_control.storage.run_tables import held_retries, runs
from animus_control.storage.session import Session

_KEY = (held_retries.c.project_id == bindparam("project"), held_retries.c.run_id == bindparam("run"))
_ALL: Select[tuple[str, str, datetime, str]] = select(
    held_retries.c.project_id, held_retries.c.run_id, held_retries.c.since, held_retries.c.reason
)
_ADD = adding(held_retries)
_GET = Prepared(_ALL.where(*_KEY))
_REMOVE = Prepared(delete(held_retries).where(*_KEY))
_DUE = Prepared(
    _ALL.join(runs, (runs.c.project_id == held_retries.c.project_id) & (runs.c.run_id == held_retries.c.run_id))
    .where(or_(held_retries.c.since < bindparam("before"), known_of(runs.c.created_by)))
    .order_by(held_retries.c.since, held_retries.c.run_id)
    .limit(bindparam("count"))
)


class HeldRetryTable:
    """Retries that wait for the Hub."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, held: HeldRetry) -> None:
        """Hold a retry."""
        values = {"project_id": held.project_id, "run_id": held.run_id, "since": held.since, "reason": held.reason}
        self._session.change(_ADD, values)

    def get(self, project_id: ProjectId, run_id: RunId) -> HeldRetry | None:
        """Return the retry of a run, if it is held."""
        row = self._session.first(_GET, {"project": project_id, "run": run_id})
        return None if row is None else HeldRetry(**row._asdict())

    def due(self, *, known_since: datetime, before: datetime, limit: int) -> list[HeldRetry]:
        """Return retries that wait no longer, the oldest first."""
        rows = self._session.all(_DUE, {"known_since": known_since, "before": before, "count": limit})
        return [HeldRetry(**row._asdict()) for row in rows]

    def remove(self, project_id: ProjectId, run_id: RunId) -> None:
        """Hold a retry no longer."""
        self._session.change(_REMOVE, {"project": project_id, "run": run_id})
