# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How much a run may use, and what it has used.

Memory is limited twice. Each process has a limit on its writable private memory (``RLIMIT_DATA``), so that an
allocation that can never fit fails at once with a MemoryError in the cell that asks for it; it is wider than the run's
memory by ``SPARE_BYTES``, because it counts what is reserved, not what is used. And the warden looks ten times a
second at what all processes of the run hold, and ends the run when it is too much.

Standard library only: this file runs inside the environment of the run.
"""

from __future__ import annotations

import contextlib
import os
import resource
from dataclasses import dataclass
from pathlib import Path

MIB = 1 << 20
SPARE_BYTES = 512 * MIB
PAGE = os.sysconf("SC_PAGE_SIZE")
SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Limits:
    """What one run may use, all processes together unless said otherwise.

    Attributes:
        memory: Resident memory, in bytes.
        file_size: Size of any one file it writes, in bytes.
        processes: Processes and threads; kept only in a sandbox, because elsewhere the user's others would count.
    """

    memory: int
    file_size: int
    processes: int

    def apply(self, *, count_processes: bool) -> None:
        """Set the limits of this process and of all it will start."""
        _set(resource.RLIMIT_CORE, 0)
        _set(resource.RLIMIT_DATA, self.memory + SPARE_BYTES)
        _set(resource.RLIMIT_FSIZE, self.file_size)
        if count_processes:
            _set(resource.RLIMIT_NPROC, self.processes)


def _set(kind: int, value: int) -> None:
    _, most = resource.getrlimit(kind)
    value = value if most == resource.RLIM_INFINITY else min(value, most)
    resource.setrlimit(kind, (value, value))


def held_memory(process: int) -> int:
    """Return how many bytes a process's descendants hold in memory; cheap, but what they share counts for each."""
    return sum(_resident(child) for child in descendants(process))


def exact_memory(process: int) -> int:
    """Return the same with what is shared counted once; expensive for large processes."""
    return sum(_proportional(child) for child in descendants(process))


def descendants(process: int) -> list[int]:
    """Return the ids of all processes that a process started, directly or through others."""
    found: list[int] = []
    waiting = [process]
    while waiting:
        children = _children(waiting.pop())
        found += children
        waiting += children
    return found


def _children(process: int) -> list[int]:
    with contextlib.suppress(OSError):
        tasks = Path(f"/proc/{process}/task").iterdir()
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    return []


def _resident(process: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * PAGE
    return 0


def _proportional(process: int) -> int:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return _resident(process)
