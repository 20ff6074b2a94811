# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Following survives interruptions: it resumes after the last event it saw, and ends when what it follows has ended.

Server-sent events are read as the HTML standard has them, section 9.2.6; comments (pings) and other fields are skipped.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol, TypeVar

from animus.errors import UnreachableError
from animus.transport import pause

LONGEST_SILENCE = 300.0


class Numbered(Protocol):
    """What a stream delivers; ``event_id`` increases."""

    @property
    def event_id(self) -> int:
        """Number to resume after."""


Event = TypeVar("Event", bound=Numbered)


def follow(
    stream: Callable[[int], Iterable[Event]],
    *,
    after: int,
    is_last: Callable[[Event], bool],
    is_over: Callable[[int], bool],
) -> Iterator[Event]:
    """Yield events as they happen, opening the stream again whenever it breaks off.

    Args:
        stream: Opens the stream after an event's number.
        after: Number of the last event that is known.
        is_last: Whether nothing follows an event.
        is_over: Asked when a stream has ended without anything new: whether nothing will come after that number.

    Raises:
        UnreachableError: If the control plane stays silent for five minutes.
    """
    failures, heard = 0, time.monotonic()
    while True:
        before = after
        try:
            for event in stream(after):
                failures, heard, after = 0, time.monotonic(), event.event_id
                yield event
                if is_last(event):
                    return
            if after == before and is_over(after):
                return
        except UnreachableError:
            if time.monotonic() - heard > LONGEST_SILENCE:
                raise
        time.sleep(pause(failures))
        failures += 1


def messages(lines: Iterable[str]) -> Iterator[str]:
    """Yield the data of each server-sent event."""
    data: list[str] = []
    for line in lines:
        field, _, value = line.partition(":")
        if field == "data" and line:
            data.append(value.removeprefix(" "))
        elif not line and data:
            yield "\n".join(data)
            data = []
