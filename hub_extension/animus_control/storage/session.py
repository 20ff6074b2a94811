# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A session is one piece of work's only way to the database: it knows what was changed and whether it was audited.

A fact is what a change is about: the table, or a part of it named by the repository. A piece of work that changed a
fact outside :data:`UNAUDITED` without an audit record is refused as a whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Select
from sqlalchemy.exc import DBAPIError

from animus_control.storage.failures import DRIVER_ERRORS
from animus_control.storage.prepared import Compiled, Prepared
from animus_control.storage.transaction import Transaction, Waiting

UNAUDITED: Mapping[str, str] = {
    "audit_head.checked_at": "a health check's trace; the head's place in the chain has no such exception",
    "end_events": "the number of a message; the end itself changes the run, which is audited",
    "executions": "leases are renewed every few seconds; each change of the run's state is audited",
    "executors.last_seen": "every few seconds; what an executor says of itself is audited when it changes",
    "idempotency_keys": "a copy of an answer; what the answer tells of is audited",
    "metrics": "measurements of user code, many per second; the run they belong to is audited",
    "outbox": "a copy of an audited change on its way out",
    "project_usage": "the sum of what ended runs used; each end is audited, and the sum follows from them",
    "project_objects": "a note that bytes arrived; who makes a version or an artifact of them is audited",
    "run_events": "the live story; every change of state in it is audited itself",
    "runs.held_until": "a backoff that was fixed when the run was created is over",
    "runs.progress": "comes with every cell and decides nothing",
    "tasks": "leases come and go; what was asked for and what was answered is audited with the record it is for",
    "tokens": "made, renewed and ended together with an execution; a refused one is audited",
    "user_groups": "the Hub's word, asked for every few seconds; what is done or refused because of it is audited",
}
"""What may change without an audit record, and why."""


class UnauditedChangeError(RuntimeError):
    """A piece of work changed audited facts and recorded nothing; it was rolled back."""


class ReadOnlyError(RuntimeError):
    """A piece of work that only reads tried to write."""


class Session:
    """The statements of pieces of work, one after the other; each begins with :meth:`begin` but the first.

    Args:
        transaction: The transaction it is part of.
        writable: Whether the work may change anything.
        exact: Whether every row is written at once; otherwise rows that are added may wait.
    """

    __slots__ = (
        "_added",
        "_exact",
        "_failure",
        "_marked",
        "_transaction",
        "audited",
        "changed",
        "trusting",
        "writable",
    )

    def __init__(self, transaction: Transaction, *, writable: bool, exact: bool = False) -> None:
        self._transaction = transaction
        self.writable = writable
        self.begin(exact=exact)

    def begin(self, *, exact: bool) -> None:
        """Begin a piece of work: what the one before it did is kept or undone, and nothing of it is known here."""
        self._exact = exact
        self._added = Waiting()
        self._marked = False
        self._failure: Exception | None = None
        self.trusting = False
        self.changed: set[str] = set()
        self.audited = False

    def all(self, query: Prepared, values: Mapping[str, Any]) -> Sequence[Any]:
        """Return all rows of a query."""
        transaction = self._transaction
        compiled = query.on(transaction.dialect)
        bound = compiled.bind(values)
        known = transaction.known.get(compiled, bound)
        if known is not None:
            return known
        transaction.prepare(compiled, values)
        if self._added.concern(compiled, values):
            self._write_out()
        try:
            transaction.cursor.execute(compiled.sql, bound)
            found = transaction.cursor.fetchall()
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error
        rows = compiled.rows(found)
        transaction.known.put(compiled, bound, rows, characters=_characters(found))
        return rows

    def first(self, query: Prepared, values: Mapping[str, Any]) -> Any | None:
        """Return the first row of a query."""
        return next(iter(self.all(query, values)), None)

    def search(self, query: Select[Any], values: Mapping[str, Any] | None = None) -> Sequence[Any]:
        """Return all rows of a query whose SQL depends on its values."""
        self._transaction.write_out()
        self._write_out()
        try:
            return self._transaction.connection.execute(query, values).all()
        except DBAPIError as error:
            raise self._failed(error.orig) from error

    def change(self, statement: Prepared, values: Mapping[str, Any], *, fact: str = "") -> int:
        """Execute a change and return how many rows it touched.

        Args:
            statement: What to do.
            values: Its values.
            fact: What is changed; the table when empty.
        """
        compiled = self._changing(statement)
        if compiled.adds:
            return self._add(compiled, (values,))
        self._mark()
        cursor = self._transaction.cursor
        try:
            cursor.execute(compiled.sql, compiled.bind(values))
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error
        if cursor.rowcount:
            self.changed.add(fact or compiled.table)
        count: int = cursor.rowcount
        return count

    def add_many(self, statement: Prepared, rows: Sequence[Mapping[str, Any]]) -> None:
        """Add any number of rows."""
        if rows:
            self._add(self._changing(statement), rows)

    def verify(self) -> None:
        """Raise when the work must not be committed.

        Raises:
            UnauditedChangeError: If audited facts changed without an audit record.
            Exception: The database's failure, if the work has swallowed it; the database may have undone more than
                the one statement.
        """
        failure = self._failure or self._transaction.failure
        if failure is not None:
            raise failure
        unaudited = self.changed.difference(UNAUDITED)
        if unaudited and not self.audited:
            raise UnauditedChangeError(f"changed without an audit record: {', '.join(sorted(unaudited))}")

    def keep(self) -> None:
        """End the work: what it did is part of the transaction."""
        if self._marked:
            self._transaction.mark("RELEASE")
        self._transaction.keep(self._added)

    def undo(self) -> None:
        """End the work: nothing that it did has been."""
        if self._marked:
            self._transaction.mark("ROLLBACK TO")
            self._transaction.mark("RELEASE")
            self._transaction.known.clear()

    def _changing(self, statement: Prepared) -> Compiled:
        if not self.writable:
            raise ReadOnlyError("this piece of work may only read")
        compiled = statement.on(self._transaction.dialect)
        self._transaction.known.change(compiled.table)
        return compiled

    def _add(self, adding: Compiled, rows: Sequence[Mapping[str, Any]]) -> int:
        for values in rows:
            self._added.add(adding, values)
        if self._exact:
            self._write_out()
        else:
            self.trusting = True
        self.changed.add(adding.table)
        return len(rows)

    def _mark(self) -> None:
        """Be able to undo this work alone, and have everything written that came before."""
        if not self._marked:
            self._transaction.write_out()
            self._transaction.mark("SAVEPOINT")
            self._marked = True
        self._write_out()

    def _write_out(self) -> None:
        if not self._added:
            return
        if not self._marked:
            self._mark()
            return
        try:
            with self._transaction.together():
                self._added.write(self._transaction.cursor)
        except DRIVER_ERRORS as error:
            raise self._failed(error) from error

    def _failed(self, error: BaseException | None) -> Exception:
        self._failure = self._transaction.failed(error)
        return self._failure


def _characters(found: Iterable[Sequence[Any]]) -> int:
    return sum(len(value) for row in found for value in row if isinstance(value, str | bytes))
