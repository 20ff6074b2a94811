# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Statements that are executed thousands of times a second are compiled once and handed to the driver directly.

SQLAlchemy writes the SQL and says how values are bound and columns are read; only its execution is left out, which
takes several times as long as SQLite does for the statement itself. A statement whose SQL depends on its values (a
list of unknown length) cannot be prepared.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Delete, Dialect, Insert, Select, Table, Update, bindparam, insert
from sqlalchemy.sql import visitors
from sqlalchemy.sql.compiler import SQLCompiler

Statement = Select[Any] | Insert | Update | Delete
_MISSING = object()


class Prepared:
    """A statement, compiled for each dialect when it is first executed there.

    Args:
        statement: The statement; every value it needs is a ``bindparam`` or a constant.
        key: For a query that finds at most the row with one primary key: the names of the values that make it.
    """

    __slots__ = ("_compiled", "key", "statement")

    def __init__(self, statement: Statement, *, key: tuple[str, ...] = ()) -> None:
        self.statement = statement
        self.key = key
        self._compiled: dict[str, Compiled] = {}

    def on(self, dialect: Dialect) -> Compiled:
        """Return the statement as the dialect speaks it."""
        compiled = self._compiled.get(dialect.name)
        if compiled is None:
            compiled = self._compiled[dialect.name] = Compiled(self.statement, dialect, self.key)
        return compiled


def adding(table: Table, *left_out: str) -> Prepared:
    """Prepare an INSERT of all columns but those that are left to the database."""
    values: dict[str, Any] = {
        column.name: bindparam(column.name) for column in table.columns if column.name not in left_out
    }
    key = tuple(column.name for column in table.primary_key if column.name not in left_out)
    return Prepared(insert(table).values(values).inline(), key=key)


class Compiled:
    """A statement in the SQL of one dialect.

    Args:
        statement: The statement.
        dialect: Who will execute it.
        key: See :class:`Prepared`.

    Attributes:
        sql: The statement.
        adds: Whether it only adds a row.
        table: The one table it reads or changes; empty for a query of several.
        key: See :class:`Prepared`.

    Raises:
        TypeError: If its SQL depends on its values.
    """

    __slots__ = ("_binds", "_constants", "_names", "_positional", "_readers", "_row", "adds", "key", "sql", "table")

    def __init__(self, statement: Statement, dialect: Dialect, key: tuple[str, ...] = ()) -> None:
        compiled = statement.compile(dialect=dialect)
        if not isinstance(compiled, SQLCompiler) or "POSTCOMPILE" in compiled.string:
            raise TypeError(f"cannot be prepared: {compiled}")
        self.sql = compiled.string
        self.adds = isinstance(statement, Insert)
        self.key = key
        tables = {found.name for found in visitors.iterate(statement) if isinstance(found, Table)}
        self.table = tables.pop() if len(tables) == 1 else ""
        self._positional = compiled.positional
        names = compiled.positiontup if compiled.positional else compiled.binds
        self._names = list(names or ())
        binds = [(name, *_bound(compiled, name, dialect)) for name in self._names]
        self._constants = {name: constant for name, _, constant in binds if constant is not _MISSING}
        self._binds = [(name, write) for name, write, _ in binds]
        columns = list(statement.selected_columns) if isinstance(statement, Select) else []
        self._row = _row_type(tuple(column.name for column in columns))
        self._readers = [column.type.dialect_impl(dialect).result_processor(dialect, None) for column in columns]

    def bind(self, values: Mapping[str, Any]) -> Any:
        """Return values as the driver takes them.

        Raises:
            KeyError: If one is missing.
        """
        if self._constants:
            values = {**values, **self._constants}
        bound = [values[name] if write is None else write(values[name]) for name, write in self._binds]
        return bound if self._positional else dict(zip(self._names, bound, strict=True))

    def rows(self, found: Iterable[Sequence[Any]]) -> list[Any]:
        """Read what a cursor has found."""
        row, readers = self._row, self._readers
        return [
            row(*[value if read is None else read(value) for value, read in zip(values, readers, strict=True)])
            for values in found
        ]


def _row_type(names: tuple[str, ...]) -> Any:
    return namedtuple("Row", names)  # noqa: PYI024 - its fields are those of the statement


def _bound(compiled: SQLCompiler, name: str, dialect: Dialect) -> tuple[Callable[[Any], Any] | None, Any]:
    """Return how a value is written for the driver, and the constant that is bound, if it is one."""
    parameter = compiled.binds[name]
    write = parameter.type.dialect_impl(dialect).bind_processor(dialect)
    return write, _MISSING if parameter.required else parameter.value
