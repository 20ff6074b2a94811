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
from sqlalchemy import BigInteger, CheckConstraint, Column, Dialect, Text
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


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
        self._decoder = msgspec.json.Decoder(message)
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
