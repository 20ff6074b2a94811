# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One kernel parent per realised environment: a process of the environment's own interpreter that forks kernels.

It is started when its environment is first used, replaced when it died, and ended when it is idle and others are used.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from animus_executor.support import package_folder

KEPT_VARIABLES = ("LANG", "LC_ALL", "PATH", "TZ")


class KernelParentError(Exception):
    """The environment's interpreter cannot start kernels; the message holds what it said."""


@dataclass(slots=True)
class _Parent:
    process: subprocess.Popen[bytes]
    address: Path
    users: int = 0


class KernelParents:
    """The kernel parents of one executor.

    Args:
        folder: Where their sockets are; a short path, because sockets have short names.
        keep: How many idle ones are kept.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        self._lock = threading.Lock()
        self._parents: dict[Path, _Parent] = {}  # the one used last is the last one

    @contextmanager
    def serving(self, environment: Path) -> Iterator[Path]:
        """Hold the parent of an environment; the socket's path answers as long as it is held.

        Raises:
            KernelParentError: If the environment cannot start one.
        """
        with self._lock:
            parent = self._parents.pop(environment, None)
            if parent is not None and parent.process.poll() is not None:
                _end(parent)
                parent = None
            parent = parent or self._start(environment)
            self._parents[environment] = parent
            parent.users += 1
            self._end_idle(self._keep)
        try:
            yield parent.address
        finally:
            with self._lock:
                parent.users -= 1

    def close(self) -> None:
        """End every parent, and with it every kernel."""
        with self._lock:
            for parent in self._parents.values():
                _end(parent)
            self._parents.clear()

    def _end_idle(self, keep: int) -> None:
        idle = [environment for environment, parent in self._parents.items() if not parent.users]
        for environment in idle[: max(0, len(idle) - keep)]:
            _end(self._parents.pop(environment))

    def _start(self, environment: Path) -> _Parent:
        address = self._folder / f"{secrets.token_hex(4)}.sock"
        script = package_folder("animus_runner") / "kernel_parent.py"
        command = [str(environment / "bin" / "python"), str(script), str(address)]
        variables = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        variables |= {"PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONNOUSERSITE": "1"}
        process = subprocess.Popen(  # noqa: S603 - an interpreter we installed, and our own file
            command, env=variables, cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        if not process.stdout or not process.stdout.readline():
            _end(parent := _Parent(process, address))
            raise KernelParentError(f"{command[0]} ended with status {parent.process.returncode}")
        return _Parent(process, address)


def _end(parent: _Parent) -> None:
    parent.process.kill()
    parent.process.communicate()
    parent.address.unlink(missing_ok=True)
