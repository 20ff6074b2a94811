# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What every handler needs of the world, in one frozen value: handlers hold nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from animus_control.api.authentication import Allowance, Authenticator
from animus_control.api.backend import Reading
from animus_control.api.browser import Browser
from animus_control.api.desk import Desk
from animus_control.api.idempotency import InProgress
from animus_control.api.metrics import RequestMetrics
from animus_control.api.wakeups import Wakeups
from animus_control.services.ports import ObjectStore

REJECTIONS_PER_SECOND = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge(Reading):
    """The HTTP edge's surroundings; it reads by itself, and asks the desk for whatever changes something.

    Attributes:
        prefix: Path below which everything is served; begins and ends with a slash.
        desk: Decides what may change something.
        objects: Keeps bytes.
        authenticator: Turns credentials into principals.
        browser: Understands the cookies of signed-in browsers; None where no Hub signs anyone in.
        max_object_bytes: Largest upload.
        wakeups: Wakes long polls and event streams.
        metrics: Counts requests.
        in_progress: The idempotency keys being worked on.
        in_flight: The handlers at work.
        rejections: How many rejected tokens are audited.
        ping_seconds: How often a quiet event stream proves that it lives.
        now: A clock in seconds that never steps.
    """

    prefix: str
    desk: Desk
    objects: ObjectStore
    authenticator: Authenticator
    wakeups: Wakeups
    metrics: RequestMetrics = field(default_factory=RequestMetrics)
    in_progress: InProgress = field(default_factory=InProgress)
    in_flight: set[object] = field(default_factory=set)
    rejections: Allowance = field(default_factory=lambda: Allowance(REJECTIONS_PER_SECOND, time.monotonic))
    browser: Browser | None = None
    max_object_bytes: int = 64 * 1024**3
    ping_seconds: float = 15.0
    now: Callable[[], float] = time.monotonic
