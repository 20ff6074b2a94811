# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Ends the runs that an executor left on a machine, for whoever stops it for good.

Rules kept here:

* nothing is ended while an executor works in the folder: its lock says so;
* a supervisor is found as a successor would find it; what else writes to a log in a run's private folder belongs to the
  run and goes with it;
* the folder stays: when an executor comes back after all, it delivers what the run had, with the reason noted here.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import msgspec

from animus_contracts.assignments import GIVEN_UP_FILE
from animus_contracts.identifiers import RunId
from animus_contracts.runs import Failure, FailureReason
from animus_executor.backends.process.attempt import ProcessAttempt
from animus_executor.owner import owned
from animus_executor.runs import Record, RunFolders, kill_processes_of

QUIET_SECONDS = 5.0
"""How long a run's own processes may take to follow their supervisor before they are killed."""

ENDED = Failure(
    reason=FailureReason.INFRASTRUCTURE,
    summary="The run was ended because its executor was stopped for good.",
    remedy="Submit the run again.",
)


def end_remains(data: Path) -> list[RunId]:
    """End what an executor left, and return the runs that were still at work.

    Args:
        data: The executor's data folder.

    Raises:
        FolderTakenError: If an executor works there.
    """
    if not data.is_dir():
        return []
    with owned(data):
        folders = RunFolders(data)
        return [record.run_id for record in folders.left() if _end(folders.path(record.execution_id), record)]


def _end(folder: Path, record: Record) -> bool:
    attempt = ProcessAttempt(folder, record.execution_id, record.epoch)
    if attempt.is_running:
        (folder / GIVEN_UP_FILE).write_bytes(msgspec.json.encode(ENDED))
        attempt.kill()
    has_ended_itself = attempt.wait() is not None
    kill_processes_of(record.run_id)
    deadline = time.monotonic() + QUIET_SECONDS
    while processes := list(processes_in(folder)):
        if time.monotonic() > deadline:
            for process in processes:
                _kill(process, folder)
        time.sleep(0.05)
    return attempt.is_running and not has_ended_itself


def processes_in(folder: Path, processes: Path = Path("/proc")) -> Iterator[int]:
    """Name the processes whose standard output is a file in a folder."""
    for entry in processes.iterdir():
        if entry.name.isdigit() and _writes_to(entry, folder):
            yield int(entry.name)


def _writes_to(process: Path, folder: Path) -> bool:
    with suppress(OSError):  # it is gone, or another user's
        return (process / "fd" / "1").readlink().is_relative_to(folder)
    return False


def _kill(number: int, folder: Path) -> None:
    with suppress(ProcessLookupError):
        process = os.pidfd_open(number)
        try:
            if _writes_to(Path(f"/proc/{number}"), folder):  # the number is still its own
                signal.pidfd_send_signal(process, signal.SIGKILL)
        finally:
            os.close(process)
