# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A supervisor, as seen by an executor that may not be the one that started it.

Rules kept here:

* a number of a process is never trusted alone: the system says which process listens in the run's private folder, and
  that process says which attempt it supervises and when it started;
* whoever holds the connection counts as the attempt's executor, and tells over it how long the run token lasts; orders
  are signals, the result is a file.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import socket
import struct
import threading
from pathlib import Path

import msgspec

from animus_contracts.assignments import (
    RESULT_FILE,
    SUPERVISOR_SOCKET,
    AttemptResult,
    Renewed,
    Supervising,
    process_start,
)
from animus_contracts.decoding import decode_json
from animus_contracts.identifiers import ExecutionId

ANSWER_SECONDS = 60.0
"""How long a supervisor may take to say who it is; one that is stopped for longer is ended."""

CREDENTIALS = struct.Struct("3i")  # struct ucred: process, user, group


class Supervisor:
    """A process that is known to supervise one attempt.

    Args:
        connection: Connected to it.
        process: Descriptor of the process.
    """

    def __init__(self, connection: socket.socket, process: int) -> None:
        self._connection = connection
        self._process = process
        self._lock = threading.Lock()

    def wait(self) -> None:
        """Wait until the process has ended, and let go of it."""
        events = select.poll()
        events.register(self._process, select.POLLIN)
        events.poll()
        with self._lock:
            self._connection.close()
            os.close(self._process)
            self._process = -1

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it is still there."""
        with self._lock, contextlib.suppress(ProcessLookupError):
            if self._process >= 0:
                signal.pidfd_send_signal(self._process, number)

    def tell(self, message: Renewed) -> None:
        """Tell it something, if it is still there and hears."""
        with self._lock, contextlib.suppress(OSError):
            if self._process >= 0:
                line = msgspec.json.encode(message) + b"\n"
                self._connection.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


class ProcessAttempt:
    """An attempt whose supervisor works, or worked, in a run folder.

    Args:
        folder: The run's folder.
        execution_id: The attempt.
        epoch: Its epoch.
    """

    def __init__(self, folder: Path, execution_id: ExecutionId, epoch: int) -> None:
        self._folder = folder
        self._supervisor = find_supervisor(folder, execution_id, epoch)

    @property
    def is_running(self) -> bool:
        """Whether a supervisor was there when this attempt was looked for."""
        return self._supervisor is not None

    def wait(self) -> AttemptResult | None:
        """Wait until the supervisor is gone; return the result it left, if it left one."""
        if self._supervisor is not None:
            self._supervisor.wait()
        with contextlib.suppress(OSError, msgspec.DecodeError):
            return decode_json((self._folder / RESULT_FILE).read_bytes(), AttemptResult)
        return None

    def cancel(self) -> None:
        """Ask the supervisor to stop."""
        if self._supervisor is not None:
            self._supervisor.send(signal.SIGTERM)

    def renewed(self, seconds: float) -> None:
        """Tell the supervisor that its run token lasts so long from now on."""
        if self._supervisor is not None:
            self._supervisor.tell(Renewed(run_token_seconds=seconds))

    def kill(self) -> None:
        """Kill the supervisor; its kernel's warden ends everything else."""
        if self._supervisor is not None:
            self._supervisor.send(signal.SIGKILL)


def find_supervisor(folder: Path, execution_id: ExecutionId, epoch: int) -> Supervisor | None:
    """Return the process that supervises an attempt in a run folder, or None when there is none."""
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.settimeout(ANSWER_SECONDS)
    process = -1
    try:
        connection.connect(str(folder / SUPERVISOR_SOCKET))
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
        number, user, _ = CREDENTIALS.unpack(peer)
        process = os.pidfd_open(number)
        said = _greeting(connection, process)
        started = process_start(Path(f"/proc/{number}/stat").read_bytes())
        expected = Supervising(execution_id=execution_id, epoch=epoch, process_started=started)
        if user == os.geteuid() and said == expected:
            return Supervisor(connection, process)
    except (OSError, msgspec.DecodeError):
        pass  # it has ended, or ends now
    if process >= 0:
        os.close(process)
    connection.close()
    return None


def _greeting(connection: socket.socket, process: int) -> Supervising:
    """Hear who is there; one that holds the connection and says nothing is of no use to anybody."""
    try:
        with connection.makefile("rb") as lines:
            return decode_json(lines.readline(), Supervising)
    except TimeoutError:
        signal.pidfd_send_signal(process, signal.SIGKILL)
        raise
