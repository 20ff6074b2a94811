# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A session is one piece of work's only way to the database: it knows what was changed and whether it was audited.

A fact is what a change is about: the table, or a part of it named by the repository. A piece of work that changed a
fact outside :data:`UNAUDITED` without an audit record is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select
from sqlalchemy.exc import DBAPIError

from animus_control.storage.failures import DRIVER_ERRORS, ends_transaction, translate
from animus_control.storage.prepared import Prepared

UNAUDITED: Mapping[str, str] = {
    "audit_head.checked_at": "a health check's trace; the head's place in the chain has no such exception",
    "end_events": "the number of a message; the end itself changes the run, which is audited",
    "executions": "leases are renewed every few seconds; each change of the run's state is audited",
    "idempotency_keys": "a copy of an answer; what the answer tells of is audited",
    "metrics": "measurements of user code, many per second; the run they belong to is audited",
    "outbox": "a copy of an audited change on its way out",
    "project_objects": "a note that bytes arrived; who makes a version or an artifact of them is audited",
    "run_events": "the live story; every change of state in it is audited itself",
    "runs.progress": "comes with every cell and decides nothing",
    "tasks": "leases come and go; what was asked for and what was answered is audited with the record it is for",
    "tokens": "made, renewed and ended together with an execution; a refused one is audited",
}
"""What may change without an audit record, and why."""


class UnauditedChangeError(RuntimeError):
    """A piece of work changed audited facts and recorded nothing; it was rolled back."""


class ReadOnlyError(RuntimeError):
    """A piece of work that only reads tried to write."""


class Session:
    """The statements of one piece of work.

    Args:
        connection: Open connection inside a transaction.
        writable: Whether the work may change anything.
    """

    __slots__ = ("_connection", "_cursor", "_dialect", "_failure", "audited", "changed", "writable")

    def __init__(self, connection: Connection, *, writable: bool) -> None:
        self._connection = connection
        self._cursor = connection.connection.cursor()
        self._dialect = connection.dialect
        self._failure: Exception | None = None
        self.writable = writable
        self.changed: set[str] = set()
        self.audited = False

    def all(self, query: Prepared, values: Mapping[str, Any]) -> list[Any]:
        """Return all rows of a query."""
        compiled = query.on(self._dialect)
        bound = compiled.bind(values)
        try:
            self._cursor.execute(compiled.sql, bound)
            return compiled.rows(self._cursor)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error

    def first(self, query: Prepared, values: Mapping[str, Any]) -> Any | None:
        """Return the first row of a query."""
        return next(iter(self.all(query, values)), None)

    def search(self, query: Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Return all rows of a query whose SQL depends on its values."""
        try:
            return self._connection.execute(query, values).all()
        except DBAPIError as error:
            raise self._failed(error.orig) from error

    def change(self, statement: Prepared, values: Mapping[str, Any], *, fact: str = "") -> int:
        """Execute a change and return how many rows it touched.

        Args:
            statement: What to do.
            values: Its values.
            fact: What is changed; the table when empty.
        """
        return self._change(statement, values, fact, self._cursor.execute)

    def change_many(self, statement: Prepared, rows: Sequence[Mapping[str, Any]]) -> int:
        """Execute a change once for each of any number of rows."""
        if len(rows) == 1:  # what drivers do for many costs twice as much for one
            return self.change(statement, rows[0])
        return self._change(statement, rows, "", self._cursor.executemany) if rows else 0

    @property
    def lost_transaction(self) -> bool:
        """Whether the database has given up the whole transaction, not just a statement."""
        return self._failure is not None and ends_transaction(self._failure)

    def verify(self) -> None:
        """Raise when the work must not be committed.

        Raises:
            UnauditedChangeError: If audited facts changed without an audit record.
            Exception: The database's failure, if the work has swallowed it; the database may have undone more than
                the one statement.
        """
        if self._failure is not None:
            raise self._failure
        unaudited = self.changed.difference(UNAUDITED)
        if unaudited and not self.audited:
            raise UnauditedChangeError(f"changed without an audit record: {', '.join(sorted(unaudited))}")

    def _change(self, statement: Prepared, values: Any, fact: str, execute: Callable[[str, Any], object]) -> int:
        if not self.writable:
            raise ReadOnlyError("this piece of work may only read")
        compiled = statement.on(self._dialect)
        bound = compiled.bind(values) if isinstance(values, Mapping) else [compiled.bind(row) for row in values]
        try:
            execute(compiled.sql, bound)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error
        if self._cursor.rowcount:
            self.changed.add(fact or compiled.table)
        return self._cursor.rowcount

    def _failed(self, error: BaseException | None) -> Exception:
        self._failure = translate(error)
        return self._failure
