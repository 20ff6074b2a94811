# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Attempts as processes of this machine, forked by one preloaded runner parent.

Everything started here dies with the executor: the parent is bound to it by its standard input and by
``PR_SET_PDEATHSIG``, supervisors to the parent. A parent that dies takes its attempts with it and is replaced.
"""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from animus_contracts.assignments import (
    Assignment,
    AttemptResult,
    RunnerReady,
    SupervisorExited,
    SupervisorMessage,
    SupervisorReported,
)
from animus_contracts.runs import Limitation
from animus_executor.backends import BackendError

KEPT_VARIABLES = (
    "GIT_SSL_CAINFO", "HOME", "HTTPS_PROXY", "LANG", "LC_ALL", "NO_PROXY", "PATH", "PYTHONPATH",
    "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ",
)  # fmt: skip


_DECODER: msgspec.json.Decoder[SupervisorMessage] = msgspec.json.Decoder(SupervisorMessage)


class ProcessBackend:
    """Forks supervisors on this machine.

    Args:
        folder: Where the parent's socket is; a short path, because sockets have short names.
    """

    def __init__(self, folder: Path) -> None:
        self._address = folder / "runner.sock"
        self._lock = threading.Lock()
        self._parent: subprocess.Popen[bytes] | None = None
        self._limitations: list[Limitation] = []
        # PR_SET_PDEATHSIG means the thread that started a process, not the process it belongs to: the parent is
        # therefore started by a thread of its own, which lives as long as the backend.
        self._starter = ThreadPoolExecutor(1, thread_name_prefix="runner-parent-starter")

    @property
    def limitations(self) -> list[Limitation]:
        """The isolation attempts do not have on this machine."""
        self._running_parent()
        return self._limitations

    def launch(self, assignment: Assignment) -> ProcessAttempt:
        """Fork a supervisor for an attempt.

        Raises:
            BackendError: If the runner parent cannot be started or reached.
        """
        self._running_parent()
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(str(self._address))
            connection.sendall(msgspec.json.encode(assignment) + b"\n")
        except OSError as error:
            connection.close()
            raise BackendError(f"the runner parent does not answer: {error}") from error
        return ProcessAttempt(connection)

    def close(self) -> None:
        """End the parent, and with it every attempt."""
        with self._lock:
            self._end()
        self._starter.shutdown()

    def _running_parent(self) -> None:
        with self._lock:
            if self._parent is None or self._parent.poll() is not None:
                self._end()
                self._starter.submit(self._start).result()

    def _end(self) -> None:
        if self._parent is not None:
            self._parent.kill()
            self._parent.communicate()
            self._parent = None

    def _start(self) -> None:
        self._address.unlink(missing_ok=True)
        command = [sys.executable, "-m", "animus_runner.parent", str(self._address)]
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        parent = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own module
        line = parent.stdout.readline() if parent.stdout else b""
        try:
            self._limitations = msgspec.json.decode(line, type=RunnerReady).limitations
        except msgspec.DecodeError as error:
            parent.kill()
            parent.communicate()
            raise BackendError("the runner parent did not start; its messages are in the executor's log") from error
        self._parent = parent


class ProcessAttempt:
    """A supervisor, as seen through its connection.

    Args:
        connection: Connected to the runner parent; half closed it means cancel, closed it means kill.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def wait(self) -> AttemptResult | int:
        """Wait until the supervisor is gone; return its result, or its exit status when it left none."""
        result: AttemptResult | None = None
        status = -9
        with self._connection.makefile("rb") as lines:
            for line in lines:
                match _decoded(line):
                    case SupervisorReported(result=reported):
                        result = reported
                    case SupervisorExited(status=reported_status):
                        status = reported_status
        self._connection.close()
        return status if result is None or status != 0 else result

    def cancel(self) -> None:
        """Ask the supervisor to stop."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_WR)

    def kill(self) -> None:
        """Have the supervisor's process group killed."""
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)


def _decoded(line: bytes) -> SupervisorMessage | None:
    try:
        return _DECODER.decode(line)
    except msgspec.DecodeError:  # the supervisor was killed while it wrote
        return None
