# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One kernel of one run, as its supervisor holds it: asked for from a kernel parent, watched, ended.

The other end is the warden of the run (see :mod:`animus_runner.warden`), so whatever happens to the kernel is known
here at once; nobody waits for a heartbeat. The kernel's sockets are unix sockets in a private folder with a short
name, because a socket's path holds at most 107 bytes.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
from jupyter_client.kernelspec import get_kernel_spec

from animus_contracts.decoding import convert
from animus_contracts.runs import Limitation
from animus_runner import sandbox
from animus_runner.warden import INTERRUPT, KILL

# By port number; a port 0 would ask the kernel to choose.
CHANNELS = ("", "shell", "iopub", "stdin", "control", "hb")
START_SECONDS = 60.0
PARENT = Path(__file__).with_name("kernel_parent.py")


class KernelFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What a kernel parent says about itself: interpreter, packages, isolation it cannot give."""

    python: str
    implementation: str
    packages: dict[str, str]
    prefixes: list[str]
    hash_seed: str
    limitations: list[Limitation]


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelEnd:
    """How a kernel went.

    Attributes:
        exit: Exit status, or minus the signal that killed it; None when it never started.
        cause: ``memory`` or ``abandoned`` when the warden ended it, ``ordered`` when we did; else empty.
        peak_memory: Peak resident memory of the run in bytes.
        error: Why it never started.
    """

    exit: int | None = None
    cause: str = ""
    peak_memory: int = 0
    error: str = ""


class KernelDiedError(Exception):
    """The kernel ended while it was needed.

    Attributes:
        end: How.
    """

    def __init__(self, end: KernelEnd) -> None:
        super().__init__(end.error or f"the kernel ended with status {end.exit}")
        self.end = end


def available() -> list[Limitation]:
    """Try in a child what isolation this machine allows, and name what it does not."""
    return [Limitation(name) for name in sandbox.missing()]


@contextlib.contextmanager
def own_parent(python: str) -> Iterator[str]:
    """Start a kernel parent that ends with the block; yields the path of its socket."""
    with tempfile.TemporaryDirectory(prefix="animus-parent-") as folder:
        address = f"{folder}/socket"
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONHASHSEED": "0", "PYTHONNOUSERSITE": "1"}
        command = [python, str(PARENT), address]
        process = subprocess.Popen(  # noqa: S603 - the interpreter is the environment's, by absolute path
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment
        )
        with process:
            assert process.stdin is not None  # noqa: S101 - asked for above
            assert process.stdout is not None  # noqa: S101
            if not process.stdout.readline():
                raise KernelDiedError(KernelEnd(error="the environment's interpreter cannot run ipykernel"))
            try:
                yield address
            finally:
                process.stdin.close()


def plain_request(kernel_name: str) -> tuple[str, dict[str, Any]]:
    """Return the interpreter of a kernelspec, and the request for an unconfined kernel in the current folder."""
    spec = get_kernel_spec(kernel_name)
    unlimited = {"memory": 1 << 50, "file_size": 1 << 50, "processes": 1 << 20}
    request: dict[str, Any] = {
        "folder": os.getcwd(),  # noqa: PTH109
        "environment": dict(os.environ) | spec.env,
        "support": [],
        "log": os.devnull,
        "view": None,
        "limits": unlimited,
        "seed": None,
    }
    command: str = spec.argv[0]
    return (sys.executable if re.fullmatch(r"python[0-9.]*", command) else command), request  # as jupyter_client does


class Kernel:
    """A kernel that is being started or runs; leaving the block ends it and everything it started.

    Args:
        address: Socket of the kernel parent.
        request: What to run, see :class:`animus_runner.warden.Request`; the connection file is added here.

    Attributes:
        key: Signs the messages.
        facts: What the kernel parent says about itself; known once :meth:`wait_until_bound` returned.
        end: How the kernel went; None while it runs.
    """

    def __init__(self, address: str, request: dict[str, Any]) -> None:
        self._folder = tempfile.mkdtemp(prefix="animus-k-")
        self.key = secrets.token_hex(16).encode()
        file = Path(self._folder, "kernel.json")
        ports = {f"{channel}_port": number for number, channel in enumerate(CHANNELS) if channel}
        connection = {"transport": "ipc", "ip": f"{self._folder}/k", "key": self.key.decode(), **ports}
        file.write_text(json.dumps(connection), encoding="utf-8")
        file.chmod(0o444)
        view = request["view"]
        view = view and view | {"writable": [*view["writable"], self._folder]}
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._unread = b""
        self.facts: KernelFacts | None = None
        self.end: KernelEnd | None = None
        self._bound = False
        try:
            self._socket.connect(address)
            message = request | {"view": view, "connection_file": str(file)}
            self._socket.sendall(json.dumps(message).encode() + b"\n")
        except OSError as error:
            self.close()
            raise KernelDiedError(KernelEnd(error=f"the kernel parent does not answer: {error}")) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def endpoint(self, channel: str) -> str:
        """Return the address of one of the kernel's sockets."""
        return f"ipc://{self._folder}/k-{CHANNELS.index(channel)}"

    def fileno(self) -> int:
        """Descriptor that becomes readable when :meth:`listen` has something to learn."""
        return self._socket.fileno()

    def wait_until_bound(self, *others: int, seconds: float = START_SECONDS) -> bool:
        """Wait until the kernel's sockets exist; False when one of ``others`` became readable first.

        Raises:
            KernelDiedError: If the kernel ends instead, or says nothing in time.
        """
        deadline = time.monotonic() + seconds
        while not self._bound:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self.fileno(), *others], [], [], max(0.0, left))
            if not ready:
                raise KernelDiedError(KernelEnd(error=f"the kernel did not start within {seconds:.0f} s"))
            if self.fileno() in ready:
                self.listen()
                if self.end is not None:
                    raise KernelDiedError(self.end)
            elif any(other in ready for other in others):
                return False
        return True

    def listen(self) -> None:
        """Take in what the warden says; sets :attr:`facts` and :attr:`end`."""
        try:
            chunk = self._socket.recv(1 << 16)
        except OSError:
            chunk = b""
        if not chunk:
            self.end = self.end or KernelEnd(error="the kernel's warden is gone")
            return
        *lines, self._unread = (self._unread + chunk).split(b"\n")
        for line in lines:
            self._hear(line)

    def _hear(self, line: bytes) -> None:
        said = json.loads(line)
        if "packages" in said:
            self.facts = convert(said, KernelFacts)
        elif "bound" in said:
            self._bound = True
        else:
            self.end = KernelEnd(**said)

    def interrupt(self) -> None:
        """Interrupt what the kernel executes, as Ctrl-C does."""
        self._order(INTERRUPT)

    def wait_for_end(self, seconds: float) -> KernelEnd:
        """Wait for the kernel to end by itself, then end it."""
        deadline = time.monotonic() + seconds
        killed = False
        while self.end is None:
            ready, _, _ = select.select([self], [], [], max(0.0, deadline - time.monotonic()))
            if ready:
                self.listen()
            elif killed:
                self.end = KernelEnd(error="the kernel could not be killed")
            else:
                killed = True
                deadline += START_SECONDS
                self._order(KILL)
        return self.end

    def close(self) -> None:
        """Let go of the kernel; its warden kills what is left of the run."""
        self._socket.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _order(self, order: bytes) -> None:
        with contextlib.suppress(OSError):
            self._socket.sendall(order)
