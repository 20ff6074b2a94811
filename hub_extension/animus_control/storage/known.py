# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the writer has read is not read again, as long as nobody can have changed it.

| who may have changed a table | how it is known |
|---|---|
| this writer | every change of a table goes through :meth:`Known.change`, which forgets what was read of it |
| this writer, taken back | whatever is rolled back forgets everything |
| another process, on SQLite | ``PRAGMA data_version`` has another value, or the connection is another one |
| another process, on PostgreSQL | cannot be known, so nothing outlives the transaction |

Within a transaction nobody else changes anything: whoever writes holds SQLite's write lock, or the audit log's head.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection

from animus_control.storage.prepared import Compiled

MOST_KNOWN = 1024
MOST_CHARACTERS = 65_536
"""Answers that are longer are not kept: what a process holds in memory stays below the product of the two."""


class Known:
    """Answers to queries of one table, by query and values."""

    __slots__ = ("_count", "_of_table", "_place")

    def __init__(self) -> None:
        self._of_table: dict[str, dict[Any, Sequence[Any]]] = {}
        self._count = 0
        self._place: object = None

    def begin(self, connection: Connection) -> None:
        """Forget what others may have changed before this transaction began."""
        place = _place_of(connection)
        if place != self._place:
            self.clear()
            self._place = place

    def get(self, query: Compiled, bound: Any) -> Sequence[Any] | None:
        """Return the rows that a query found with these values, if they are known."""
        known = self._of_table.get(query.table)
        return known.get(_key(query, bound)) if known else None

    def put(self, query: Compiled, bound: Any, rows: Sequence[Any], *, characters: int) -> None:
        """Remember the rows that a query found."""
        if not query.table or characters > MOST_CHARACTERS:
            return
        if self._count >= MOST_KNOWN:
            self.clear()
        self._count += 1
        self._of_table.setdefault(query.table, {})[_key(query, bound)] = rows

    def change(self, table: str) -> None:
        """Forget what was read of a table that is being changed."""
        self._count -= len(self._of_table.pop(table, ()))

    def clear(self) -> None:
        """Forget everything."""
        self._of_table.clear()
        self._count = 0


def _key(query: Compiled, bound: Any) -> tuple[Any, ...]:
    return (query, *(bound.values() if isinstance(bound, dict) else bound))


def _place_of(connection: Connection) -> object:
    """Return a value that is equal for two transactions only if nothing was changed by others between them."""
    if connection.dialect.name != "sqlite":
        return object()
    driver: Any = connection.connection.driver_connection
    # The number counts for one connection alone, so the connection is part of the place.
    return driver, driver.execute("PRAGMA data_version").fetchone()[0]
