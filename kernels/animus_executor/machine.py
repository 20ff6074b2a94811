# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the machine has, and what the attempts that live on it leave free.

A run is counted from the moment it is leased to the moment its attempt is over, by what its plan asks for. What one
question offers, no other question offers until it is answered: so slots may ask at the same time, and what a beginning
or an ending attempt leaves is offered at once. What was offered in parts and not taken is offered whole again when all
those questions are answered; otherwise a run that needs the whole machine would wait for ever beside an idle one.
"""

from __future__ import annotations

import os
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity

MIB = 1 << 20
LIMIT = Path("/sys/fs/cgroup/memory.max")


class Occupancy:
    """What is taken of a machine.

    Args:
        total: What it has.

    Attributes:
        total: The same.
    """

    def __init__(self, total: Capacity) -> None:
        self.total = total
        self._changed = threading.Condition()
        self._taken: dict[str, Resources | Capacity] = {}
        self._offers = 0
        self._has_changed = False

    def take(self, execution_id: str, resources: Resources) -> None:
        """Count an attempt from now on."""
        with self._changed:
            self._taken[execution_id] = resources
            self._has_changed = True

    def release(self, execution_id: str) -> None:
        """Count an attempt no longer."""
        with self._changed:
            self._taken.pop(execution_id, None)
            self._has_changed = True
            self._changed.notify_all()

    def free(self) -> Capacity:
        """Return what is left; never less than nothing, as when a successor adopts more than it may take itself."""
        with self._changed:
            return self._free()

    @contextmanager
    def offered(self, seconds: float) -> Iterator[Capacity | None]:
        """Hold all that is free, to offer it; None when nothing could be offered within some seconds.

        An attempt that comes of the offer is taken before the offer ends.
        """
        with self._changed:
            if not self._changed.wait_for(self._is_offerable, seconds):
                free = None
            else:
                free, self._has_changed = self._free(), False
                self._taken[offer := secrets.token_hex(8)] = free
                self._offers += 1
        if free is None:
            yield None
            return
        try:
            yield free
        finally:
            with self._changed:
                del self._taken[offer]
                self._offers -= 1
                self._changed.notify_all()

    def _is_offerable(self) -> bool:
        return _is_something(self._free()) and (self._offers == 0 or self._has_changed)

    def _free(self) -> Capacity:
        taken, total = self._taken.values(), self.total
        return Capacity(
            cpus=max(0.0, total.cpus - sum(resources.cpus for resources in taken)),
            memory_mib=max(0, total.memory_mib - sum(resources.memory_mib for resources in taken)),
            gpus=max(0, total.gpus - sum(resources.gpus for resources in taken)),
        )


def _is_something(capacity: Capacity) -> bool:
    """Say whether any run could do with it; one without accelerators can."""
    return capacity.cpus > 0 and capacity.memory_mib > 0


def cpus() -> float:
    """Return how many processor cores this process may use."""
    return float(len(os.sched_getaffinity(0)))


def memory_mib() -> int:
    """Return how much memory this machine, or the container it is, has."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = LIMIT.read_text().strip() if LIMIT.exists() else "max"
    return min(size, int(limit) if limit.isdigit() else size) // MIB
