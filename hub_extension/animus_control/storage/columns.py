# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Column types: a repository hands over contract values and gets them back, the same on every database.

Time is a whole number of microseconds since 1970, so that no driver rounds it or loses its zone. Text that a database
indexes or checks is its own column; everything else of a message is one JSON document, written once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Dialect,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
)
from sqlalchemy.types import TypeDecorator

from animus_contracts.decoding import json_decoder

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# Row numbers: SQLite counts only in a column that is exactly INTEGER.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")


class Instant(TypeDecorator[datetime]):
    """A point in time, UTC, at microsecond precision."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        """Return the microseconds since 1970."""
        del dialect
        return None if value is None else (value - EPOCH) // MICROSECOND

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        """Return the instant in UTC."""
        del dialect
        return None if value is None else EPOCH + value * MICROSECOND


class Message(TypeDecorator[Any]):
    """A contract message, or any other JSON value, as JSON text.

    Args:
        message: The type the text is decoded to.
    """

    impl = Text
    cache_ok = True

    def __init__(self, message: Any) -> None:
        super().__init__()
        self.message = message
        self._decoder = json_decoder(message)
        self._encoder = msgspec.json.Encoder()

    def process_bind_param(self, value: Any | None, dialect: Dialect) -> str | None:
        """Return the JSON text."""
        del dialect
        return None if value is None else self._encoder.encode(value).decode()

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Any:
        """Return the message."""
        del dialect
        return None if value is None else self._decoder.decode(value)


class Word(TypeDecorator[StrEnum]):
    """One word of a vocabulary of the contracts.

    Args:
        vocabulary: The enum.
    """

    impl = Text
    cache_ok = True

    def __init__(self, vocabulary: type[StrEnum]) -> None:
        super().__init__()
        self.vocabulary = vocabulary

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        """Return the word as plain text; a filter may hold any text."""
        del dialect
        return None if value is None else str(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> StrEnum | None:
        """Return the member of the enum."""
        del dialect
        return None if value is None else self.vocabulary(value)


def word(name: str, vocabulary: type[StrEnum], *, nullable: bool = False) -> Column[StrEnum]:
    """Build a column that takes the words of a vocabulary and, by a CHECK, nothing else."""
    words = ", ".join(f"'{member.value}'" for member in vocabulary)
    return Column(name, Word(vocabulary), CheckConstraint(f"{name} IN ({words})", name=name), nullable=nullable)


def text(name: str, **more: Any) -> Column[str]:
    """Build a text column that is never empty of a value."""
    return Column(name, Text, nullable=False, **more)


def number(name: str, **more: Any) -> Column[int]:
    """Build a number column that is never empty of a value."""
    return Column(name, BigInteger, nullable=False, **more)


def records(
    name: str, key: str, message: type[Any], *columns: Any, by: tuple[str, ...] = (), within: tuple[str, ...] = ()
) -> Table:
    """Build the table of a project's records: key, indexed columns, document, and one index per way to list them.

    Records that are only ever found by a column of theirs lie ordered by it: ``within`` names what comes before the
    key. An index that nobody asks would cost every submission.
    """
    table = Table(
        name,
        METADATA,
        text("project_id"),
        text(key),
        *columns,
        Column("document", Message(message), nullable=False),
        PrimaryKeyConstraint("project_id", *within, key),
        ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
    )
    for field in by:
        Index(None, table.c.project_id, table.c[field], table.c[key])
    return table


def of_project(parent: str, column: str, key: str | None = None) -> ForeignKeyConstraint:
    """Build a reference that cannot leave the project."""
    return ForeignKeyConstraint(["project_id", column], [f"{parent}.project_id", f"{parent}.{key or column}"])
