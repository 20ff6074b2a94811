# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One row per executor: what it last said of itself, and when it was last heard of."""

from __future__ import annotations

from datetime import datetime

import msgspec
from sqlalchemy import Select, bindparam, select, update

from animus_contracts.executors import Executor
from animus_contracts.pages import Page
from animus_control.storage.cursors import decode_text, page_of
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.run_tables import executors
from animus_control.storage.session import Session

SEEN = "executors.last_seen"
_SELECT: Select[tuple[str, Executor, datetime]] = select(
    executors.c.name, executors.c.document, executors.c.last_seen_at
)
_GET = Prepared(_SELECT.where(executors.c.name == bindparam("called")))
_SINCE = Prepared(_SELECT.where(executors.c.last_seen_at >= bindparam("since")).order_by(executors.c.name))
_PAGE = _SELECT.order_by(executors.c.name).limit(bindparam("count"))
_FIRST = Prepared(_PAGE)
_AFTER = Prepared(_PAGE.where(executors.c.name > bindparam("after")))
_ADD = adding(executors)
_CHANGE = Prepared(
    update(executors)
    .where(executors.c.name == bindparam("called"))
    .values(document=bindparam("document"), last_seen_at=bindparam("last_seen_at"))
)
_TOUCH = Prepared(
    update(executors).where(executors.c.name == bindparam("called")).values(last_seen_at=bindparam("now"))
)


class ExecutorTable:
    """The executors that ever asked for work."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def get(self, name: str) -> Executor | None:
        """Return an executor."""
        return next(iter(self._read(_GET, called=name)), None)

    def put(self, executor: Executor, *, known: bool, audited: bool) -> None:
        """Store what an executor says of itself; unaudited only when its capabilities are what they were."""
        values = {"name": executor.name, "called": executor.name, "document": executor}
        fact = "" if audited else SEEN
        self._session.change(_CHANGE if known else _ADD, values | {"last_seen_at": executor.last_seen_at}, fact=fact)

    def touch(self, name: str, now: datetime) -> None:
        """Note that an executor was heard of."""
        self._session.change(_TOUCH, {"called": name, "now": now}, fact=SEEN)

    def seen_since(self, moment: datetime) -> list[Executor]:
        """Return the executors heard of since a moment, by name."""
        return self._read(_SINCE, since=moment)

    def page(self, *, limit: int, cursor: str | None) -> Page[Executor]:
        """Return a page, by name. Raises ValueError on a bad cursor."""
        after = {} if cursor is None else {"after": decode_text(cursor)}
        found = self._read(_AFTER if after else _FIRST, count=limit + 1, **after)
        return page_of(found, [executor.name for executor in found], limit)

    def _read(self, query: Prepared, **values: object) -> list[Executor]:
        rows = self._session.all(query, values)
        return [msgspec.structs.replace(row.document, last_seen_at=row.last_seen_at) for row in rows]
