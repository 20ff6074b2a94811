# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who waits is woken by the commit it waits for, never by a clock.

A waiter registers first and looks afterwards, so that a commit between the two cannot be missed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Wakeups:
    """Waiters by channel, on one event loop; notifications come from any thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self.closing = False

    def notify(self, channel: str) -> None:
        """Wake the channel's waiters; called by the database after a commit, on a thread of its own."""
        if channel in self._waiters and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._wake, channel)

    @contextmanager
    def waiting(self, *channels: str) -> Iterator[asyncio.Event]:
        """Register as a waiter; the event is set at each notification on any channel until the block is left."""
        event = asyncio.Event()
        for channel in channels:
            self._waiters.setdefault(channel, set()).add(event)
        if self.closing:
            event.set()
        try:
            yield event
        finally:
            for channel in channels:
                self._leave(channel, event)

    def close(self) -> None:
        """Wake everyone for the last time: the server stops."""
        self.closing = True
        for channel in list(self._waiters):
            self._wake(channel)

    def _leave(self, channel: str, event: asyncio.Event) -> None:
        waiters = self._waiters.get(channel, set())
        waiters.discard(event)
        if not waiters:
            self._waiters.pop(channel, None)

    def _wake(self, channel: str) -> None:
        for event in self._waiters.get(channel, ()):
            event.set()


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set, at most some seconds; clears it. Returns whether it was set."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    event.clear()
    return True
