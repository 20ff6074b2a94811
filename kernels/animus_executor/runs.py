# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The folders of attempts, and what a killed executor left in them.

A folder names its attempt in ``attempt.json`` from before the attempt starts, so that a successor can say what became
of it. The folder's name is short, because kernels' sockets lie inside and sockets have short names.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from animus_contracts.executions import Lease
from animus_contracts.identifiers import ExecutionId, RunId
from animus_executor.folders import remove

RECORD = "attempt.json"
NAME_CHARACTERS = 12  # the last ones of a UUIDv7 are random


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which attempt a folder belongs to."""

    execution_id: ExecutionId
    run_id: RunId
    epoch: int


class RunFolders:
    """The folders below one executor's data folder.

    Args:
        data: The executor's data folder.
    """

    def __init__(self, data: Path) -> None:
        self.cache = data / "cache"
        self._runs = data / "runs"
        for folder in (self.cache, self._runs):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def make(self, lease: Lease) -> Path:
        """Make the folder of an attempt."""
        folder = self._path(lease.execution_id)
        folder.mkdir(mode=0o700)
        record = Record(execution_id=lease.execution_id, run_id=lease.run_id, epoch=lease.epoch)
        (folder / RECORD).write_bytes(msgspec.json.encode(record))
        return folder

    def remove(self, lease: Lease) -> None:
        """Remove the folder of an attempt, if it was made."""
        remove(self._path(lease.execution_id))

    def sweep(self) -> Iterator[Record]:
        """Kill what a predecessor's attempts left running, remove their folders, and name each."""
        for folder in self._runs.iterdir():
            with suppress(OSError, msgspec.DecodeError):  # it was killed before it had written the record
                record = msgspec.json.decode((folder / RECORD).read_bytes(), type=Record)
                kill_processes_of(record.run_id)
                yield record
            remove(folder)

    def _path(self, execution_id: ExecutionId) -> Path:
        return self._runs / execution_id[-NAME_CHARACTERS:]


def kill_processes_of(run_id: RunId, processes: Path = Path("/proc")) -> None:
    """Kill every process that was started inside a run, by the variable that names the run.

    Only needed where runs have no process namespace of their own, or after their supervisor was killed.
    """
    marker = f"ANIMUS_RUN_ID={run_id}".encode()
    for entry in processes.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # it is gone, or another user's
            if marker in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
