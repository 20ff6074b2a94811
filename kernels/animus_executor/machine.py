# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the machine has, and what the attempts that live on it leave free.

A run is counted from the moment it is leased to the moment its attempt is over, by what its plan asks for.
"""

from __future__ import annotations

import os
import threading
from pathlib import Path

from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity

MIB = 1 << 20
LIMIT = Path("/sys/fs/cgroup/memory.max")


class Occupancy:
    """What is taken of a machine.

    Args:
        total: What it has.
    """

    def __init__(self, total: Capacity) -> None:
        self._total = total
        self._lock = threading.Lock()
        self._taken: dict[str, Resources] = {}

    def take(self, execution_id: str, resources: Resources) -> None:
        """Count an attempt from now on."""
        with self._lock:
            self._taken[execution_id] = resources

    def release(self, execution_id: str) -> None:
        """Count an attempt no longer."""
        with self._lock:
            self._taken.pop(execution_id, None)

    def free(self) -> Capacity:
        """Return what is left; never less than nothing, as when a successor adopts more than it may take itself."""
        with self._lock:
            taken = list(self._taken.values())
        total = self._total
        return Capacity(
            cpus=max(0.0, total.cpus - sum(resources.cpus for resources in taken)),
            memory_mib=max(0, total.memory_mib - sum(resources.memory_mib for resources in taken)),
            gpus=max(0, total.gpus - sum(resources.gpus for resources in taken)),
        )

    @property
    def is_idle(self) -> bool:
        """Whether nothing is taken."""
        return not self._taken


def cpus() -> float:
    """Return how many processor cores this process may use."""
    return float(len(os.sched_getaffinity(0)))


def memory_mib() -> int:
    """Return how much memory this machine, or the container it is, has."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = LIMIT.read_text().strip() if LIMIT.exists() else "max"
    return min(size, int(limit) if limit.isdigit() else size) // MIB
