# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens without being asked for: lost leases are reconciled, old idempotency keys forgotten.

Nothing here needs to run on time or only once: each piece of work decides by compare-and-set on what is stored, so
two control planes may both do it. A piece that fails is logged and tried again; the worker never gives up. A piece that
concludes something from silence is told for how long it could have heard anything.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from animus_control.services.ports import Database, UnitOfWork

log = logging.getLogger("animus.worker")

Job = Callable[[UnitOfWork], Any]
ListeningJob = Callable[[UnitOfWork, timedelta], Any]
LONGEST_BREAK = 5
"""So many intervals after its last success a job has not listened any more, and begins anew."""


class Attendance:
    """For how long a job has succeeded again and again without a break.

    Where a unit of work commits, a heartbeat could have been stored. A frozen process, a database that does not answer
    and a disk that is full are breaks, however they look from inside.

    Args:
        longest_break: Seconds between two successes that are no break yet.
        clock: Monotonic seconds.
    """

    def __init__(self, longest_break: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._longest_break = longest_break
        self._clock = clock
        self._since = self._last = float("-inf")

    def lasted(self) -> timedelta:
        """Return for how long, until now; nothing after a break."""
        now = self._clock()
        return timedelta(seconds=now - self._since if self._is_unbroken(now) else 0)

    def succeeded(self) -> None:
        """The job has just committed."""
        now = self._clock()
        if not self._is_unbroken(now):
            self._since = now
        self._last = now

    def _is_unbroken(self, now: float) -> bool:
        return now - self._last <= self._longest_break


class Worker:
    """Runs jobs at intervals.

    Args:
        database: Where they work.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, seconds: float, name: str, job: Job) -> None:
        """Start a job on the running loop, and again some seconds after each time it ended."""
        self.repeat(seconds, name, lambda: self._write(job))

    def listen(self, seconds: float, name: str, job: ListeningJob) -> None:
        """Start a job in the same way that is told for how long it has gone on without a break."""
        kept = Attendance(LONGEST_BREAK * seconds)

        async def write() -> None:
            await self._write(lambda uow: job(uow, kept.lasted()))
            kept.succeeded()

        self.repeat(seconds, name, write)

    def repeat(self, seconds: float, name: str, action: Callable[[], Awaitable[Any]]) -> None:
        """Start in the same way what is more than one unit of work."""
        self._tasks.append(asyncio.create_task(repeat(seconds, name, action)))

    async def stop(self) -> None:
        """Stop all jobs; one that has begun its unit of work is let finish it by the database."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _write(self, job: Job) -> None:
        await asyncio.wrap_future(self._database.write(job))


async def repeat(seconds: float, name: str, action: Callable[[], Awaitable[Any]]) -> None:
    """Act, and again some seconds after each time that ended, for ever; what fails is logged."""
    while True:
        try:
            await action()
        except Exception as error:  # noqa: BLE001 - the loop is a process edge: log, and try again
            log.error('{"event": "job_failed", "job": "%s", "type": "%s"}', name, type(error).__qualname__)  # noqa: TRY400 - a traceback may show values
        await asyncio.sleep(seconds)
