# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Attempts as processes of this machine, forked by one preloaded runner parent.

The parent dies with the executor: it is bound to it by its standard input and by ``PR_SET_PDEATHSIG``, and replaced
when it dies earlier. Supervisors are bound to nobody: the next executor finds them in their run's folders.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from animus_contracts.assignments import Assignment, RunnerReady
from animus_contracts.decoding import decode_json
from animus_contracts.identifiers import ExecutionId
from animus_contracts.runs import Limitation
from animus_executor.backends import BackendError
from animus_executor.backends.process.attempt import ANSWER_SECONDS, ProcessAttempt

KEPT_VARIABLES = (
    "GIT_SSL_CAINFO", "HOME", "HTTPS_PROXY", "LANG", "LC_ALL", "NO_PROXY", "PATH", "PYTHONPATH",
    "SSL_CERT_DIR", "SSL_CERT_FILE", "TZ",
)  # fmt: skip


LAUNCHES = 32
"""How many launches at once: fewer than connections may wait for the parent, because one more would be refused."""


class ProcessBackend:
    """Forks supervisors on this machine.

    Args:
        folder: Where the parent's socket is; a short path, because sockets have short names.
    """

    def __init__(self, folder: Path) -> None:
        self._address = folder / "runner.sock"
        self._lock = threading.Lock()
        self._launching = threading.BoundedSemaphore(LAUNCHES)
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
            BackendError: If the runner parent cannot be started or reached, or the supervisor says nothing.
        """
        parent = self._running_parent()
        try:
            try:
                said = self._hand_over(assignment)
            except ConnectionError:  # the parent died before it forked, so nobody has the assignment: ask the next
                self._replace(parent)
                said = self._hand_over(assignment)
        except OSError as error:
            raise BackendError(f"the runner parent does not answer: {error}") from error
        if not said:
            raise BackendError("the run's supervisor ended before it had begun")
        return ProcessAttempt(Path(assignment.run_folder), assignment.execution_id, assignment.epoch)

    def _hand_over(self, assignment: Assignment) -> bytes:
        """Ask for a supervisor; return the first byte it says, nothing if it ended before."""
        with self._launching, socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(self._address))
            connection.sendall(msgspec.json.encode(assignment) + b"\n")
            return connection.recv(1)  # it listens in the run's folder, where it is going to say the rest

    def adopt(self, folder: Path, execution_id: ExecutionId, epoch: int) -> ProcessAttempt:
        """Find an attempt that a predecessor launched, whether or not its supervisor still works."""
        return ProcessAttempt(folder, execution_id, epoch)

    def close(self) -> None:
        """End the parent; what it has started goes on."""
        with self._lock:
            self._end()
        self._starter.shutdown()

    def _running_parent(self) -> subprocess.Popen[bytes]:
        with self._lock:
            if self._parent is None or self._parent.poll() is not None:
                self._end()
                self._parent = self._starter.submit(self._start).result()
            return self._parent

    def _replace(self, parent: subprocess.Popen[bytes]) -> None:
        """Start another parent, unless somebody else who lost this one has done so."""
        with self._lock:
            if self._parent is parent:
                self._end()
        self._running_parent()

    def _end(self) -> None:
        if self._parent is not None:
            self._parent.kill()
            self._parent.communicate()
            self._parent = None

    def _start(self) -> subprocess.Popen[bytes]:
        self._address.unlink(missing_ok=True)
        command = [sys.executable, "-m", "animus_runner.parent", str(self._address)]
        environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        parent = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: S603 - our own module
        line = parent.stdout.readline() if parent.stdout else b""
        try:
            self._limitations = decode_json(line, RunnerReady).limitations
        except msgspec.DecodeError as error:
            parent.kill()
            parent.communicate()
            raise BackendError("the runner parent did not start; its messages are in the executor's log") from error
        return parent
