# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The kernel parent: ipykernel imported once per environment, then forked for every run.

``PYTHONHASHSEED=0 <environment>/bin/python kernel_parent.py <socket>`` runs with the environment's own interpreter
and nothing of ours but the files beside this one; it prints one line of facts when it listens and ends when its
standard input does. Rules kept here:

* it starts no thread and runs nothing of any user before it forks, so a run inherits modules and nothing else;
* a connection is the life of one run: the request comes in on it, what happens goes back on it as JSON lines, and
  whoever closes it kills the run; the end of this process does not;
* three processes per run: the *warden* outside, which watches; *init* inside, which owns all processes of the run;
  and the *kernel*, the only one that runs user code, after every privilege is gone.
"""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The folder beside us must not shadow the standard library (or what users import) by its names.
    _folder = sys.path.pop(0)
    _package = type(sys)("animus_runner")
    _package.__path__ = [_folder]
    sys.modules["animus_runner"] = _package

import atexit
import contextlib
import gc
import importlib
import importlib.metadata
import json
import os
import platform
import select
import signal
import socket
import tokenize
from pathlib import Path
from types import ModuleType
from typing import Any

from animus_runner import kernel_process, sandbox, warden

PRELOADED = (
    "IPython.core.completerlib",
    "IPython.core.debugger",
    "IPython.core.logger",
    "IPython.core.oinspect",
    "IPython.extensions.storemagic",
    "IPython.utils.wildcard",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "faulthandler",
    "ipykernel.comm.manager",
    "ipykernel.debugger",
    "ipykernel.ipkernel",
    "ipykernel.kernelapp",
    "ipykernel.zmqshell",
    "pdb",
    "psutil",
    "pwd",
    "pygments.formatters.terminal256",
    "sqlite3",
    "stack_data",
    "tornado.platform.asyncio",
    "tornado.queues",
)
"""What every kernel imports until its first cell has run. One that is missing in an environment is not needed there,
except for ipykernel itself."""


def facts() -> dict[str, Any]:
    """Describe the interpreter and its environment, for provenance, and the isolation this machine lacks."""
    packages = {
        distribution.name: distribution.version
        for distribution in importlib.metadata.distributions()
        if distribution.name
    }
    return {
        "python": platform.python_version(),
        "implementation": platform.python_implementation(),
        "packages": dict(sorted(packages.items())),
        "prefixes": sorted({sys.prefix, sys.base_prefix, sys.exec_prefix, sys.base_exec_prefix}),
        "hash_seed": os.environ.get("PYTHONHASHSEED", "random"),
        "limitations": sandbox.missing(),
    }


def main() -> None:
    """Serve requests until standard input ends; returns only as the kernel of one of them."""
    address = Path(sys.argv[1])
    loaded: dict[str, tuple[ModuleType, int]] = {}
    atexit.register(kernel_process.spare, loaded)  # the first one is the last to be called
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # the debugger would print advice into every run's log
    importlib.import_module("ipykernel.kernelapp")
    for name in PRELOADED:
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    list(tokenize.generate_tokens(iter(["x\n"]).__next__))  # compiles patterns, which every first cell would do again
    about = facts()
    line = json.dumps(about).encode() + b"\n"
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(address))
    address.chmod(0o600)
    listener.listen(64)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # wardens are reaped by the system
    loaded.update(kernel_process.loaded_modules())
    gc.collect()
    gc.freeze()  # what is loaded now stays shared with every run
    os.write(sys.stdout.fileno(), line)
    connection = _next_run(listener)
    connection.sendall(line)
    request = warden.receive(connection, about)
    kernel_process.become(request, warden.watch(connection, request))


def _next_run(listener: socket.socket) -> socket.socket:
    """Fork for every connection; returns in the child only."""
    events = select.poll()
    events.register(listener, select.POLLIN)
    events.register(sys.stdin, select.POLLIN)
    while True:
        if any(descriptor == sys.stdin.fileno() for descriptor, _ in events.poll()):
            sys.exit(0)
        connection, _ = listener.accept()
        if os.fork() == 0:
            os.close(listener.detach())
            return connection
        connection.close()


if __name__ == "__main__":
    main()
