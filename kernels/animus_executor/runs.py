# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The folders of attempts, and what a killed executor left in them.

A folder names its attempt in ``attempt.json`` from the moment the attempt has started, with everything a successor
needs to go on with it, and without any credential: the executor's own is enough. The folder's name is short, because
sockets lie inside and sockets have short names.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from animus_contracts.assignments import Assignment
from animus_contracts.decoding import decode_json
from animus_contracts.environments import Resources
from animus_contracts.executions import Lease
from animus_contracts.identifiers import ExecutionId, RunId
from animus_executor.folders import remove

RECORD = "attempt.json"
NAME_CHARACTERS = 12  # the last ones of a UUIDv7 are random


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A started attempt, for a successor of the executor that started it.

    Attributes:
        environment: The realised environment it uses.
        resources: What it takes of the machine.
        assignment: What its supervisor was told, without the run token.
    """

    execution_id: ExecutionId
    run_id: RunId
    epoch: int
    lease_seconds: float
    heartbeat_seconds: float
    environment: str
    resources: Resources
    assignment: Assignment


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

    def make(self, execution_id: ExecutionId) -> Path:
        """Make the folder of an attempt."""
        folder = self.path(execution_id)
        folder.mkdir(mode=0o700)
        return folder

    def record(self, lease: Lease, assignment: Assignment) -> None:
        """Note that an attempt has started, and what its supervisor is told."""
        record = Record(
            execution_id=lease.execution_id,
            run_id=lease.run_id,
            epoch=lease.epoch,
            lease_seconds=lease.lease_seconds,
            heartbeat_seconds=lease.heartbeat_seconds,
            environment=assignment.environment_folder,
            resources=lease.plan.resources,
            assignment=msgspec.structs.replace(assignment, run_token=""),
        )
        folder = self.path(lease.execution_id)
        arriving = folder / f".{RECORD}"
        arriving.write_bytes(msgspec.json.encode(record))
        arriving.replace(folder / RECORD)

    def recorded(self, execution_id: ExecutionId) -> Record | None:
        """Return what was noted about an attempt; None when it has not started."""
        return _read(self.path(execution_id) / RECORD)

    def remove(self, execution_id: ExecutionId) -> None:
        """Remove the folder of an attempt, if it was made."""
        remove(self.path(execution_id))

    def left(self) -> Iterator[Record]:
        """Name the started attempts of a predecessor; what had not started is removed, and its lease runs out."""
        for folder in list(self._runs.iterdir()):
            record = _read(folder / RECORD)
            if record is not None and folder == self.path(record.execution_id):
                yield record
            else:
                remove(folder)

    def path(self, execution_id: ExecutionId) -> Path:
        """Where the files of an attempt are, or would be."""
        return self._runs / execution_id[-NAME_CHARACTERS:]


def _read(file: Path) -> Record | None:
    with suppress(OSError, msgspec.DecodeError):
        return decode_json(file.read_bytes(), Record)
    return None


def kill_processes_of(run_id: RunId, processes: Path = Path("/proc")) -> None:
    """Kill every process that was started inside a run, by the variable that names the run.

    Only needed where runs have no process namespace of their own, after their supervisor was killed.
    """
    marker = f"ANIMUS_RUN_ID={run_id}".encode()
    for entry in processes.iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with suppress(OSError):  # it is gone, or another user's
            if marker in (entry / "environ").read_bytes().split(b"\0"):
                os.kill(int(entry.name), signal.SIGKILL)
