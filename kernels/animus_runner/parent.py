# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The runner parent: it imports everything once, then forks one supervisor per run.

Rules kept here:

* it starts no thread and opens no connection before it forks, so a child inherits nothing but modules;
* a supervisor leads its own session and process group, and dies with this process, as this one dies with its executor;
* a connection is the life of a run: the assignment comes in on it, the result and the exit status go back on it.
  When the executor shuts its writing end the supervisor is asked to cancel; when it closes, the group is killed.

``python -m animus_runner.parent <socket>`` prints one :class:`RunnerReady` line when it listens.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import msgspec

from animus_contracts.assignments import RunnerReady, SupervisorExited, SupervisorMessage, SupervisorStarted
from animus_runner import supervisor
from animus_runner.kernels import available

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve assignments until the executor goes away."""
    die_with_parent()
    address = Path(sys.argv[1])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(address))
        address.chmod(0o600)
        listener.listen(64)
        gc.collect()
        gc.freeze()  # what is loaded now stays shared with every child
        ready = RunnerReady(limitations=available())
        sys.stdout.buffer.write(msgspec.json.encode(ready) + b"\n")
        sys.stdout.flush()
        _Parent(listener).serve()
    return 0


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request was in force
        os._exit(1)


class _Parent:
    """Accepts connections, forks, and relays exits; one thread, no state but who is running."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._events = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}

    def serve(self) -> None:
        self._watch(self._listener.fileno(), select.EPOLLIN, lambda _: self._accept())
        self._watch(sys.stdin.fileno(), select.EPOLLIN, lambda _: sys.exit(0))  # our children die with us
        while True:
            for descriptor, events in self._events.poll():
                if handler := self._handlers.get(descriptor):
                    handler(events)

    def _watch(self, descriptor: int, events: int, handler: Callable[[int], None]) -> None:
        self._events.register(descriptor, events)
        self._handlers[descriptor] = handler

    def _unwatch(self, descriptor: int) -> None:
        self._events.unregister(descriptor)
        del self._handlers[descriptor]

    def _accept(self) -> None:
        connection, _ = self._listener.accept()
        process = os.fork()
        if process == 0:
            self._become_supervisor(connection)
        _tell(connection, SupervisorStarted(process=process))
        exited = os.pidfd_open(process)
        # The child reads the assignment from the same socket, so here only its end is watched.
        self._watch(connection.fileno(), select.EPOLLRDHUP, lambda events: self._closing(connection, process, events))
        self._watch(exited, select.EPOLLIN, lambda _: self._exited(connection, process, exited))

    def _become_supervisor(self, connection: socket.socket) -> NoReturn:
        """In the child: let go of everything that is the parent's, and supervise one run."""
        status = 1
        try:
            os.setsid()
            die_with_parent()
            self._events.close()
            for descriptor in set(self._handlers) - {sys.stdin.fileno()}:
                os.close(descriptor)
            with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - descriptor 0 must stay taken
                os.dup2(nothing.fileno(), sys.stdin.fileno())
            status = supervisor.serve(connection)
        except BaseException:  # noqa: BLE001 - the edge of a process
            traceback.print_exc()  # an exception must not unwind into the parent's loop, nor be lost
        finally:
            os._exit(status)

    def _closing(self, connection: socket.socket, process: int, events: int) -> None:
        """Half closed asks the supervisor to cancel; closed ends it."""
        if events & select.EPOLLHUP:
            self._events.modify(connection.fileno(), select.EPOLLONESHOT)
            _kill_group(process, signal.SIGKILL)
        else:
            self._events.modify(connection.fileno(), 0)  # EPOLLHUP is always reported
            os.kill(process, signal.SIGTERM)

    def _exited(self, connection: socket.socket, process: int, exited: int) -> None:
        self._unwatch(exited)
        os.close(exited)
        _kill_group(process, signal.SIGKILL)  # nothing of a run outlives its supervisor; its id is still ours
        _, status = os.waitpid(process, 0)
        self._unwatch(connection.fileno())
        _tell(connection, SupervisorExited(status=os.waitstatus_to_exitcode(status)))
        connection.close()


def _kill_group(process: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process, number)
    with contextlib.suppress(ProcessLookupError):  # before setsid it is still in our own group
        os.kill(process, number)


def _tell(connection: socket.socket, message: SupervisorMessage) -> None:
    with contextlib.suppress(OSError):  # the executor is gone; its end of the socket tells us so as well
        connection.sendall(msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    raise SystemExit(main())
