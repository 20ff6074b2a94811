# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The warden of one run: starts its processes, watches their memory, ends them all, and says how it went.

It tells the other end of its connection, as JSON lines: ``{"bound": true}`` when the kernel answers, and at the end
``{"exit": …, "peak_memory": …, "cause": …}``, or ``{"error": …}`` when it could not start. It takes one-byte orders:
``I`` interrupts what the kernel executes, ``K`` kills the run; so does the end of the connection. It never runs user
code, and believes nothing the run says except that the kernel is bound.

Standard library only: this file runs inside the environment of the run.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import shutil
import signal
import socket
import time
from dataclasses import dataclass
from typing import Any

from animus_runner import limits, sandbox
from animus_runner.limits import Limits

INTERRUPT, KILL = b"I", b"K"
OUT_OF_MEMORY, ABANDONED, ORDERED = "memory", "abandoned", "ordered"
PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True)
class Request:
    """What to run.

    Attributes:
        connection_file: Jupyter connection file of the kernel.
        folder: Working folder of the kernel.
        environment: All variables of the kernel.
        support: Folders put before the environment's own on the module path.
        log: File that takes what the kernel process writes past Jupyter.
        view: What the run may see, or None to run without a sandbox.
        limits: What it may use.
        seed: Seed of Python's ``random``; None leaves it random.
    """

    connection_file: str
    folder: str
    environment: dict[str, str]
    support: list[str]
    log: str
    view: sandbox.View | None
    limits: Limits
    seed: int | None


def receive(connection: socket.socket, facts: dict[str, Any]) -> Request:
    """Read a request, adding to its view what the environment itself needs."""
    with connection.makefile("rb") as lines:
        asked = json.loads(lines.readline() or b"null")
    if asked is None:
        os._exit(0)
    seen = asked.pop("view")
    if seen is not None and not facts["limitations"]:
        read_only = (*seen.pop("read_only"), *facts["prefixes"])
        seen = sandbox.View(read_only=read_only, writable=tuple(seen.pop("writable")), **seen)
    else:
        seen = None
    return Request(view=seen, limits=Limits(**asked.pop("limits")), **asked)


def watch(connection: socket.socket, request: Request) -> int:
    """Run a request; returns only in the kernel process, with the descriptor on which it says that it is bound."""
    os.setsid()
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    reports, writer = os.pipe()
    try:
        _leave_the_executor(request.log)
        sandbox.prctl(PR_SET_CHILD_SUBREAPER, 1)
        if request.view is not None:
            _hand_over(request.view)
            sandbox.separate_processes()
        init = os.fork()
    except OSError as error:
        _tell(connection, {"error": str(error)})
        os._exit(1)
    if init == 0:
        connection.detach()
        _initiate(request, writer)
        return writer
    os.close(writer)
    if _attend(connection, reports, init, request.limits.memory) == ABANDONED:  # nobody else is left to do it
        shutil.rmtree(os.path.dirname(request.connection_file), ignore_errors=True)  # noqa: PTH120 - a path of ours
    os._exit(0)


def _leave_the_executor(path: str) -> None:
    """Write to the run's log from now on: the executor's output may end while the run goes on."""
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for old, new in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(old, new)
    os.close(log)
    os.close(nothing)


def _hand_over(view: sandbox.View) -> None:
    """Let the run use what is meant for it when it is going to be another user than we are."""
    if os.geteuid() == 0:
        for path in (*view.writable, view.temporary):
            os.chown(path, sandbox.NOBODY, sandbox.NOBODY)


def _initiate(request: Request, writer: int) -> None:
    """As init: close the world behind us and own the processes of the run; returns only in the kernel."""
    try:
        os.closerange(3, writer)
        os.closerange(writer + 1, os.sysconf("SC_OPEN_MAX"))
        if request.view is not None:
            sandbox.build(request.view)
            sandbox.drop_privileges()
        sandbox.die_with_parent()
        kernel = os.fork()
    except OSError as error:
        _report(writer, {"error": str(error)})
        os._exit(1)
    if kernel == 0:
        sandbox.die_with_parent()  # without a sandbox, the end of init would leave us running
        return
    sandbox.prctl(sandbox.PR_SET_DUMPABLE, 0)  # user code has our user id, and must not attach to us
    signal.signal(signal.SIGINT, lambda *_: os.kill(kernel, signal.SIGINT))
    while True:
        process, status = os.wait()
        if process == kernel:
            _report(writer, {"exit": os.waitstatus_to_exitcode(status)})
            os._exit(0)


def _attend(connection: socket.socket, reports: int, init: int, memory: int) -> str:
    """Watch until the run is over; return why it was ended, if it did not end by itself."""
    events = select.poll()
    events.register(connection, select.POLLIN)
    events.register(reports, select.POLLIN)
    cause, peak, said = "", 0, b""
    next_sample = time.monotonic()
    while True:
        ready = dict(events.poll(limits.SAMPLE_SECONDS * 1000))
        if connection.fileno() in ready:
            order = _order(connection)
            if order == INTERRUPT:
                os.kill(init, signal.SIGINT)
            else:
                cause = cause or (ORDERED if order == KILL else ABANDONED)
                if not order:
                    events.unregister(connection)
                _kill_all()
        if reports in ready:
            chunk = os.read(reports, 65536)
            if not chunk:
                break
            said = _forward(connection, said + chunk)
        if time.monotonic() >= next_sample:
            next_sample = time.monotonic() + limits.SAMPLE_SECONDS
            held = _held(memory)
            peak = max(peak, held)
            if held > memory:
                cause = cause or OUT_OF_MEMORY
                _kill_all()
    _conclude(connection, init, said, cause, peak)
    return cause


def _order(connection: socket.socket) -> bytes:
    """Read one order; empty when the other end is gone, however it went."""
    with contextlib.suppress(OSError):
        return connection.recv(1)
    return b""


def _held(memory: int) -> int:
    """Return the memory of the run; exactly when it may be too much."""
    held = limits.held_memory(os.getpid())
    return limits.exact_memory(os.getpid()) if held > memory else held


def _forward(connection: socket.socket, said: bytes) -> bytes:
    """Pass on the lines that are complete, except for the exit, and return the rest."""
    *lines, rest = said.split(b"\n")
    for line in lines:
        if b'"exit"' in line:
            return line
        with contextlib.suppress(OSError):
            connection.sendall(line + b"\n")
    return rest


def _conclude(connection: socket.socket, init: int, said: bytes, cause: str, peak: int) -> None:
    end: dict[str, Any] = json.loads(said) if said else {"exit": -signal.SIGKILL}
    with contextlib.suppress(ChildProcessError):
        _, _, used = os.wait4(init, 0)
        peak = max(peak, used.ru_maxrss * 1024)
    _kill_all()
    _tell(connection, end | {"cause": cause, "peak_memory": peak})


def _kill_all() -> None:
    """Kill whatever the run started, until nothing is left."""
    while processes := [process for process in limits.descendants(os.getpid()) if not _is_gone(process)]:
        for process in processes:
            with contextlib.suppress(OSError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.002)


def _is_gone(process: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{process}/stat", "rb") as file:  # noqa: PTH123
        return file.read().rpartition(b") ")[2][:1] in b"ZX"
    return True


def _report(writer: int, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        os.write(writer, json.dumps(message).encode() + b"\n")


def _tell(connection: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n")
