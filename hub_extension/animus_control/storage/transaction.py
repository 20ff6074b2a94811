# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the pieces of work of one transaction share: the connection, what was read, and rows that wait to be written.

Rows that are added wait, and are written table by table, at the latest before the commit: one statement for many rows
costs a fraction of many statements, and on PostgreSQL a fraction of the round trips. Nobody can tell, because who
reads or changes a table has its waiting rows written first. That a waiting row will be accepted is trusted until
then; when it is not, nobody knows whose it was, and all the work is done again exactly, row by row.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from sqlalchemy import Connection

from animus_control.storage.failures import DRIVER_ERRORS, ends_transaction, translate
from animus_control.storage.known import Known
from animus_control.storage.prepared import Compiled
from animus_control.storage.tables import SCHEMA

_ORDER = {table.name: place for place, table in enumerate(SCHEMA.sorted_tables)}
"""Places of the tables: one that refers to another comes after it."""


class MisplacedTrustError(RuntimeError):
    """A row that had been waiting was refused, and its piece of work is not known."""


class Waiting:
    """Rows that wait to be written."""

    __slots__ = ("_keys", "_rows")

    def __init__(self) -> None:
        self._rows: dict[Compiled, list[Any]] = {}
        self._keys: dict[str, set[tuple[Any, ...]]] = {}

    def __bool__(self) -> bool:
        """Tell whether any row waits."""
        return bool(self._rows)

    def add(self, adding: Compiled, values: Mapping[str, Any]) -> None:
        """Let a row wait; a value that cannot be bound fails here."""
        row = adding.bind(values)
        self._rows.setdefault(adding, []).append(row)
        self._keys.setdefault(adding.table, set()).add(tuple([values[name] for name in adding.key]))

    def concern(self, query: Compiled, values: Mapping[str, Any]) -> bool:
        """Tell whether a query might find one of the rows."""
        if not query.table:
            return bool(self._rows)
        keys = self._keys.get(query.table)
        if keys is None:
            return False
        return not query.key or tuple([values[name] for name in query.key]) in keys

    def extend(self, others: Waiting) -> None:
        """Take over rows, behind those that wait already."""
        for adding, rows in others._rows.items():
            self._rows.setdefault(adding, []).extend(rows)
            self._keys.setdefault(adding.table, set()).update(others._keys[adding.table])

    def write(self, cursor: Any) -> None:
        """Write all rows, so that none comes before one that it refers to; none waits afterwards."""
        for adding in sorted(self._rows, key=lambda adding: _ORDER[adding.table]):
            rows = self._rows[adding]
            if len(rows) == 1:  # what drivers do for many costs twice as much for one
                cursor.execute(adding.sql, rows[0])
            else:
                cursor.executemany(adding.sql, rows)
        self.clear()

    def clear(self) -> None:
        """Drop all rows."""
        self._rows.clear()
        self._keys.clear()


class Transaction:
    """One transaction.

    Args:
        connection: Open connection inside the transaction.
        known: What was read and is still true.
    """

    __slots__ = ("_waiting", "connection", "cursor", "dialect", "failure", "known")

    def __init__(self, connection: Connection, known: Known) -> None:
        self.connection = connection
        self.cursor: Any = connection.connection.cursor()
        self.dialect = connection.dialect
        self.known = known
        self.failure: Exception | None = None
        self._waiting = Waiting()

    def keep(self, rows: Waiting) -> None:
        """Take over the rows of a piece of work that is done."""
        self._waiting.extend(rows)

    def prepare(self, query: Compiled, values: Mapping[str, Any]) -> None:
        """See that a query finds what it should."""
        if self._waiting.concern(query, values):
            self.write_out()

    def write_out(self) -> None:
        """Write what waits.

        Raises:
            MisplacedTrustError: If a row is refused.
        """
        if self._waiting:
            try:
                with self.together():
                    self._waiting.write(self.cursor)
            except DRIVER_ERRORS as error:
                raise self.failed(error, MisplacedTrustError("a row that had been waiting was refused")) from error

    def together(self) -> Any:
        """Return a context in which statements go to the database without waiting for each one's answer."""
        if self.dialect.name == "postgresql":
            driver: Any = self.connection.connection.driver_connection
            return driver.pipeline()
        return nullcontext()

    def mark(self, statement: str) -> None:
        """Set, release or go back to the mark of a piece of work.

        Args:
            statement: ``SAVEPOINT``, ``RELEASE`` or ``ROLLBACK TO``.
        """
        try:
            self.cursor.execute(f"{statement} piece")
        except DRIVER_ERRORS as error:
            raise self.failed(error) from error

    def failed(self, error: BaseException | None, meaning: Exception | None = None) -> Exception:
        """Return what to raise for a driver's error, and note when the whole transaction is over.

        Args:
            error: What the driver raised.
            meaning: What it means for the whole transaction, if it leaves the database able to go on.
        """
        if self.failure is not None:
            return self.failure
        failure = translate(error)
        if ends_transaction(failure):
            self.failure = failure
            self.connection.invalidate()  # the next transaction starts on a connection that knows nothing of this
        elif meaning is not None:
            self.failure = failure = meaning
        return failure
