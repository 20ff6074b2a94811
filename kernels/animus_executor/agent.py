# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The agent: every slot takes a lease, executes the attempt and ends it, again and again, until it is stopped.

Rules kept here:

* attempts of a predecessor come first, each in a slot, even when they are more than there are slots now;
* a slot asks with what is free at that moment and nobody else has offered: no two are given the same cores;
* nothing ends the agent but :meth:`Agent.stop`: a control plane that is down, or a backend that cannot start, is asked
  again, with growing pauses.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Protocol

import msgspec

from animus_contracts.executions import Lease, LeaseRequest
from animus_executor.backends import BackendError
from animus_executor.control_plane import ProtocolError
from animus_executor.machine import Occupancy

log = logging.getLogger(__name__)

WAIT_SECONDS = 15.0  # half a lease, which counts from before the waiting
BUSY_WAIT_SECONDS = 5.0  # what became free meanwhile may together be enough for a larger run
LOOK_SECONDS = 0.5
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
        describe: Builds what this executor says of itself whenever it asks; it may take long the first time, and
            no adopted attempt waits for it.
        occupancy: What attempts take of the machine; a lease is counted here from the moment it is given.
        slots: How many attempts at once.
        adopted: Executes each attempt of a predecessor to its end.
    """

    def __init__(
        self,
        leases: Leases,
        execute: Callable[[Lease, float], None],
        *,
        describe: Callable[[], LeaseRequest],
        occupancy: Occupancy,
        slots: int,
        adopted: Sequence[Callable[[], None]] = (),
    ) -> None:
        self._leases = leases
        self._execute = execute
        self._describe = describe
        self._occupancy = occupancy
        self._stopping = threading.Event()
        first = [*adopted, *[None] * max(0, slots - len(adopted))]
        self._slots = [
            threading.Thread(target=self._run, args=(work, number < slots), name=f"slot-{number}", daemon=True)
            for number, work in enumerate(first)
        ]

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

    def _run(self, adopted: Callable[[], None] | None, is_permanent: bool) -> None:  # noqa: FBT001 - a thread's
        if adopted is not None:
            _guarded(adopted)
        pause = FIRST_PAUSE
        while is_permanent and not self._stopping.is_set():
            try:
                lease, asked_at = self._ask()
            except (BackendError, ProtocolError) as error:
                log.warning("no lease: %s", error)
                self._stopping.wait(pause * random.uniform(0.5, 1.5))  # noqa: S311 - spreads load, guards nothing
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            if lease is not None:
                _guarded(partial(self._execute, lease, asked_at))

    def _ask(self) -> tuple[Lease | None, float]:
        """Offer what is free, and count what is given before it is offered again."""
        request = self._describe()
        with self._occupancy.offered(LOOK_SECONDS) as free:
            asked_at = time.monotonic()
            if free is None or self._stopping.is_set():
                return None, asked_at
            seconds = WAIT_SECONDS if free == self._occupancy.total else BUSY_WAIT_SECONDS
            lease = self._leases.lease(msgspec.structs.replace(request, wait_seconds=seconds, capacity=free))
            if lease is None or self._stopping.is_set():
                return None, asked_at
            self._occupancy.take(lease.execution_id, lease.plan.resources)
            return lease, asked_at


def _guarded(work: Callable[[], None]) -> None:
    try:
        work()
    except Exception:  # the edge of the slot: one attempt's fault must not take the slot away
        log.exception("an attempt broke")
