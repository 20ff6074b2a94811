# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Events are numbered over the whole store, in the order of their commits, so that a stream can be resumed anywhere."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import bindparam, select

from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.run_events import RunEvent
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.run_tables import run_events as table
from animus_control.storage.session import Session

_ADD = adding(table, "event_id")


@lru_cache
def _after(fields: tuple[str, ...]) -> Prepared:
    columns = [table.c.event_id, table.c.run_id, table.c.type, table.c.at, table.c.data]
    return Prepared(
        select(*columns)
        .where(table.c.event_id > bindparam("after"), *[table.c[name] == bindparam(name) for name in fields])
        .order_by(table.c.event_id)
        .limit(bindparam("count"))
    )


class RunEventTable:
    """The live story of runs."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, project_id: ProjectId, run_id: RunId, kind: str, at: datetime, data: Mapping[str, Any]) -> None:
        """Store the next event."""
        row = {"project_id": project_id, "run_id": run_id, "type": kind, "at": at, "data": data}
        self._session.change(_ADD, row)

    def after(
        self, project_id: ProjectId, event_id: int, *, run_id: RunId | None, kind: str | None = None, limit: int = 500
    ) -> list[RunEvent]:
        """Return the events after one, oldest first, of one run or kind or of all."""
        asked = {"project_id": project_id, "run_id": run_id, "type": kind}
        wanted = {name: value for name, value in asked.items() if value is not None}
        values = {**wanted, "after": event_id, "count": limit}
        rows = self._session.all(_after(tuple(wanted)), values)
        return [RunEvent(**row._asdict()) for row in rows]
