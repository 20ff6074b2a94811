# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The agent: every slot takes a lease, executes the attempt and ends it, again and again, until it is stopped.

Nothing here ends the agent but :meth:`Agent.stop`: a control plane that is down is asked again, with growing pauses.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from typing import Protocol

from animus_contracts.executions import Lease, LeaseRequest
from animus_contracts.runs import Limitation
from animus_executor.control_plane import ProtocolError

log = logging.getLogger(__name__)

WAIT_SECONDS = 15.0  # half a lease, which counts from before the waiting
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0


class Leases(Protocol):
    """Who grants leases."""

    def lease(self, request: LeaseRequest) -> Lease | None:
        """Wait for a lease."""


class Agent:
    """Takes leases in several slots.

    Args:
        leases: Who grants leases.
        execute: Executes one leased attempt to its end; takes the lease and the monotonic time before it was asked
            for, and raises nothing that is expected.
        slots: How many attempts at once.
        limitations: What attempts are not protected from here.
        platform: Platform tag of this machine.
    """

    def __init__(
        self,
        leases: Leases,
        execute: Callable[[Lease, float], None],
        *,
        slots: int,
        limitations: list[Limitation],
        platform: str,
    ) -> None:
        self._leases = leases
        self._execute = execute
        self._request = LeaseRequest(wait_seconds=WAIT_SECONDS, limitations=limitations, platform=platform)
        self._stopping = threading.Event()
        self._slots = [threading.Thread(target=self._run, name=f"slot-{n}", daemon=True) for n in range(slots)]

    def start(self) -> None:
        """Start the slots."""
        for slot in self._slots:
            slot.start()

    def stop(self) -> None:
        """Take no further lease. A slot that waits for one is abandoned with the process."""
        self._stopping.set()

    def join(self, seconds: float) -> None:
        """Wait until the slots have noticed that they are to stop."""
        deadline = time.monotonic() + seconds
        for slot in self._slots:
            slot.join(max(0.0, deadline - time.monotonic()))

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            asked_at = time.monotonic()
            try:
                lease = self._leases.lease(self._request)
            except ProtocolError as error:
                log.warning("no lease: %s", error)
                self._stopping.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if lease is not None and not self._stopping.is_set():
                self._work(lease, asked_at)

    def _work(self, lease: Lease, asked_at: float) -> None:
        try:
            self._execute(lease, asked_at)
        except Exception:  # the edge of the slot: one attempt's fault must not take the slot away
            log.exception("attempt %s of run %s broke", lease.execution_id, lease.run_id)
