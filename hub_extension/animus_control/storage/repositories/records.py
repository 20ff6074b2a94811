# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Records of one project: every query names the project, every statement is built once and then only bound.

Of a record's columns those that a message field is named like are taken from the message; the message itself is the
document. Fields that change have a column of their own, and that column wins over the document when it is read.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec
from sqlalchemy import Select, Table, bindparam, select

from animus_contracts.identifiers import ProjectId
from animus_contracts.pages import Page
from animus_control.storage.cursors import decode_text, page_of
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.session import Session

T = TypeVar("T", bound=msgspec.Struct)

VERSIONS = ("version", "ordinal")


class Layout(Generic[T]):
    """How one kind of message lies in its table.

    Args:
        table: The table, with the columns ``project_id``, a key, and ``document``.
        changing: Fields that change after the record was added.
    """

    def __init__(self, table: Table, *, changing: tuple[str, ...] = ()) -> None:
        self.table = table
        self.key = list(table.primary_key.columns)[-1].name
        self.changing = changing
        self._fields = [column.name for column in table.columns if column.name != "document"]
        self.insert = adding(table)
        self._columns = [table.c[name] for name in (self.key, "document", *changing)]
        self.find = lru_cache(self._find)
        self.page = lru_cache(self._page)

    def row(self, record: T, **extra: Any) -> dict[str, Any]:
        """Return the row of a record; ``extra`` holds columns that are no fields of it."""
        values = {name: getattr(record, name) for name in self._fields if name not in extra}
        return {**values, **extra, "document": record}

    def read(self, row: Any) -> T:
        """Return the record of a row."""
        record: T = row.document
        if not self.changing:
            return record
        return msgspec.structs.replace(record, **{name: getattr(row, name) for name in self.changing})

    def select(self) -> Select[Any]:
        """Build a query that :meth:`read` understands."""
        return select(*self._columns)

    def changes(self, record: T) -> dict[str, Any]:
        """Return the fields that may have changed, each as ``new_<field>``."""
        return {f"new_{name}": getattr(record, name) for name in self.changing}

    def _where(self, fields: tuple[str, ...]) -> Select[Any]:
        columns = [self.table.c[name] for name in ("project_id", *fields)]
        return self.select().where(*[column == bindparam(column.name) for column in columns])

    def _find(self, fields: tuple[str, ...]) -> Prepared:
        newest = next(name for name in (*VERSIONS, self.key) if name in self.table.c)
        whole = tuple(column.name for column in self.table.primary_key.columns)
        key = whole if whole == ("project_id", *fields) else ()
        return Prepared(self._where(fields).order_by(self.table.c[newest].desc()).limit(1), key=key)

    def _page(self, fields: tuple[str, ...], *, after: bool) -> Prepared:
        key = self.table.c[self.key]
        statement = self._where(fields).order_by(key.desc()).limit(bindparam("count"))
        return Prepared(statement.where(key < bindparam("after")) if after else statement)


class ReadableTable(Generic[T]):
    """Reads the records of one kind.

    Args:
        session: Session of the piece of work.
        layout: How they lie in their table.
    """

    __slots__ = ("_layout", "_session")

    def __init__(self, session: Session, layout: Layout[T]) -> None:
        self._session = session
        self._layout = layout

    def get(self, project_id: ProjectId, record_id: str) -> T | None:
        """Return the record of this id in this project."""
        return self.find(project_id, **{self._layout.key: record_id})

    def find(self, project_id: ProjectId, **fields: Any) -> T | None:
        """Return the newest record whose indexed fields equal ``fields``."""
        row = self._session.first(self._layout.find(tuple(sorted(fields))), {"project_id": project_id, **fields})
        return None if row is None else self._layout.read(row)

    def page(self, project_id: ProjectId, *, limit: int, cursor: str | None, **fields: Any) -> Page[T]:
        """Return a page, newest first; a field that is None does not filter.

        Raises:
            ValueError: On a bad cursor.
        """
        wanted = {name: value for name, value in fields.items() if value is not None}
        values = {"project_id": project_id, "count": limit + 1, **wanted}
        if cursor is not None:
            values["after"] = decode_text(cursor)
        rows = self._session.all(self._layout.page(tuple(sorted(wanted)), after=cursor is not None), values)
        return page_of([self._layout.read(row) for row in rows], [row[0] for row in rows], limit)


class RecordTable(ReadableTable[T]):
    """Reads and adds the records of one kind."""

    __slots__ = ()

    def add(self, record: T) -> None:
        """Store a new record."""
        self._session.change(self._layout.insert, self._layout.row(record))
