# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How an event loop has units of work done: it waits for them, and other requests go on meanwhile."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from animus_contracts.identifiers import RANDOM_BYTES, uuid7
from animus_control.api.handover import Handover
from animus_control.domain.identity import Principal
from animus_control.domain.limits import Limits
from animus_control.services.calls import Call
from animus_control.services.ports import Database, ReadableDatabase, UnitOfWork

T = TypeVar("T")
Work = Callable[[UnitOfWork], T]

SECRET_BYTES = 32


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What it takes to read.

    Attributes:
        database: Runs the work.
        limits: Bounds of what callers may send.
        readers: Threads for work that only reads.
        clock: The present, in UTC.
    """

    database: ReadableDatabase
    limits: Limits
    readers: ThreadPoolExecutor
    clock: Callable[[], datetime] = utc_now

    async def read(self, work: Work[T]) -> T:
        """Run work that only reads, on a thread of its own."""
        return await asyncio.get_running_loop().run_in_executor(self.readers, self.database.read, work)

    def call(
        self, principal: Principal, *, request_id: str, path: Mapping[str, str], if_match: int | None = None
    ) -> Call:
        """Build the call of one operation; its instant is now."""
        now = self.clock()
        return Call(
            principal=principal,
            now=now,
            request_id=request_id,
            new_id=lambda: uuid7(now, os.urandom(RANDOM_BYTES)),
            new_secret=lambda: secrets.token_urlsafe(SECRET_BYTES),
            path=path,
            if_match=if_match,
            limits=self.limits,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend(Reading):
    """What it takes to write as well.

    Attributes:
        database: Runs the work.
        handover: Brings what is durable to the event loop.
    """

    database: Database
    handover: Handover = field(default_factory=lambda: Handover(asyncio.get_running_loop()))

    def write(self, work: Work[T]) -> asyncio.Future[T]:
        """Have work done that changes something; it is durable when the future has its result."""
        return self.handover.wait(self.database.write(work))
