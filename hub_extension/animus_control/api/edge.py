# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What every handler needs of the world, in one frozen value: handlers hold nothing else."""

from __future__ import annotations

import asyncio
import os
import secrets
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from animus_contracts.identifiers import RANDOM_BYTES, uuid7
from animus_control.api.authentication import Allowance, Authenticator
from animus_control.api.browser import Browser
from animus_control.api.handover import Handover
from animus_control.api.idempotency import InProgress
from animus_control.api.metrics import RequestMetrics
from animus_control.api.wakeups import Wakeups
from animus_control.domain.identity import Principal
from animus_control.domain.limits import Limits
from animus_control.services.calls import Call
from animus_control.services.ports import Database, ObjectStore, UnitOfWork

T = TypeVar("T")
Work = Callable[[UnitOfWork], T]

SECRET_BYTES = 32
REJECTIONS_PER_SECOND = 10.0


def utc_now() -> datetime:
    """Return the present."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """The HTTP edge's surroundings.

    Attributes:
        prefix: Path below which everything is served; begins and ends with a slash.
        database: Runs units of work.
        objects: Keeps bytes.
        authenticator: Turns credentials into principals.
        browser: Understands the cookies of signed-in browsers; None where no Hub signs anyone in.
        limits: The bounds this installation sets.
        max_object_bytes: Largest upload.
        wakeups: Wakes long polls and event streams.
        readers: Threads on which reading units of work run.
        metrics: Counts requests.
        handover: Brings results of the writer to the event loop.
        in_progress: The idempotency keys being worked on.
        in_flight: The handlers at work.
        rejections: How many rejected tokens are audited.
        ping_seconds: How often a quiet event stream proves that it lives.
        clock: The present.
        now: A clock in seconds that never steps.
    """

    prefix: str
    database: Database
    objects: ObjectStore
    authenticator: Authenticator
    limits: Limits
    wakeups: Wakeups
    readers: ThreadPoolExecutor
    metrics: RequestMetrics = field(default_factory=RequestMetrics)
    handover: Handover = field(default_factory=lambda: Handover(asyncio.get_running_loop()))
    in_progress: InProgress = field(default_factory=InProgress)
    in_flight: set[object] = field(default_factory=set)
    rejections: Allowance = field(default_factory=lambda: Allowance(REJECTIONS_PER_SECOND, time.monotonic))
    browser: Browser | None = None
    max_object_bytes: int = 64 * 1024**3
    ping_seconds: float = 15.0
    clock: Callable[[], datetime] = utc_now
    now: Callable[[], float] = time.monotonic

    async def write(self, work: Work[T]) -> T:
        """Run work that changes something; it is durable when this returns."""
        return await self.handover.wait(self.database.write(work))

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
