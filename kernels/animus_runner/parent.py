# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The runner parent: it imports everything once, then forks one supervisor per run.

Rules kept here:

* it starts no thread and opens no connection before it forks, so a child inherits nothing but modules;
* it dies with its executor; a supervisor, which leads a session of its own, does not;
* it knows nothing about runs: the assignment comes in on the connection that the child takes over.

``python -m animus_runner.parent <socket>`` prints one :class:`RunnerReady` line when it listens.
"""

from __future__ import annotations

import ctypes
import faulthandler
import gc
import os
import select
import signal
import socket
import sys
import traceback
from pathlib import Path
from typing import NoReturn

import msgspec

from animus_contracts.assignments import RunnerReady
from animus_runner import serving
from animus_runner.kernels import available

PR_SET_PDEATHSIG = 1


def main() -> int:
    """Serve assignments until the executor goes away."""
    die_with_parent()
    faulthandler.enable()  # in every supervisor too: where it crashed is in its log, which its verdict quotes
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
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # supervisors are reaped by the system
        _fork_for_every_connection(listener)
    return 0


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request was in force
        os._exit(1)


def _fork_for_every_connection(listener: socket.socket) -> None:
    """Serve until the executor closes our standard input."""
    events = select.poll()
    events.register(listener, select.POLLIN)
    events.register(sys.stdin, select.POLLIN)
    while all(descriptor != sys.stdin.fileno() for descriptor, _ in events.poll()):
        connection, _ = listener.accept()
        with connection:
            if os.fork() == 0:
                _become_supervisor(listener, connection)


def _become_supervisor(listener: socket.socket, connection: socket.socket) -> NoReturn:
    """In the child: let go of everything that is the parent's, and supervise one run."""
    status = 1
    try:
        os.setsid()
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        listener.close()
        with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - descriptor 0 must stay taken
            os.dup2(nothing.fileno(), sys.stdin.fileno())
        status = serving.serve(connection)
    except BaseException:  # noqa: BLE001 - the edge of a process
        traceback.print_exc()  # an exception must not unwind into the parent's loop, nor be lost
    finally:
        os._exit(status)


if __name__ == "__main__":
    raise SystemExit(main())
