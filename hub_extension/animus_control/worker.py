# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens without being asked for: lost leases are reconciled, old idempotency keys forgotten.

Nothing here needs to run on time or only once: each piece of work decides by compare-and-set on what is stored, so
two control planes may both do it. A piece that fails is logged and tried again; the worker never gives up.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from animus_control.services.ports import Database, UnitOfWork

log = logging.getLogger("animus.worker")

Job = Callable[[UnitOfWork], Any]


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
        self._tasks.append(asyncio.create_task(self._repeat(seconds, name, job)))

    async def stop(self) -> None:
        """Stop all jobs; one that has begun its unit of work is let finish it by the database."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _repeat(self, seconds: float, name: str, job: Job) -> None:
        while True:
            try:
                await asyncio.wrap_future(self._database.write(job))
            except Exception as error:  # noqa: BLE001 - the loop is a process edge: log, and try again
                log.error('{"event": "job_failed", "job": "%s", "type": "%s"}', name, type(error).__qualname__)  # noqa: TRY400 - a traceback may show values
            await asyncio.sleep(seconds)
