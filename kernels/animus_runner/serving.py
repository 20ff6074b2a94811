# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The life of a supervisor's process: take an assignment, be there for executors, leave a result in the run's folder.

Rules kept here:

* the process belongs to nobody: it goes on when the executor that asked for it is gone, and another one may adopt it;
* it leaves at most one result, whole or not at all, as the last thing it does; one that leaves none was killed, or has
  given the run up and says why;
* it holds nothing of the executor's: no output of it goes where the executor's goes.
"""

from __future__ import annotations

import os
import socket
import sys
import traceback
from pathlib import Path

import msgspec

from animus_contracts.assignments import (
    GIVEN_UP_FILE,
    RESULT_FILE,
    SUPERVISOR_LOG,
    SUPERVISOR_SOCKET,
    Assignment,
    AttemptResult,
    Supervising,
    process_start,
)
from animus_contracts.decoding import decode_json
from animus_contracts.executions import Verdict
from animus_contracts.runs import Failure, FailureReason
from animus_runner.exits import FailedError
from animus_runner.presence import Presence
from animus_runner.supervisor import supervise
from animus_runner.token_life import TokenLife


def serve(connection: socket.socket) -> int:
    """Carry out the assignment that comes in on a connection; return the status to exit with.

    The connection hears :class:`Supervising` when the socket in the run's folder answers, and is closed then.
    """
    with connection, connection.makefile("rb") as lines:
        line = lines.readline()
        if not line.endswith(b"\n"):  # the executor went away before it had said everything
            return 1
        assignment = decode_json(line, Assignment)
        folder = Path(assignment.run_folder)
        _leave_the_executor(folder)
        started = process_start(Path("/proc/self/stat").read_bytes())
        facts = Supervising(execution_id=assignment.execution_id, epoch=assignment.epoch, process_started=started)
        greeting = msgspec.json.encode(facts) + b"\n"
        life = TokenLife(assignment.run_token_seconds)
        (folder / SUPERVISOR_SOCKET).unlink(missing_ok=True)  # a supervisor that was killed leaves its own
        presence = Presence(
            folder / SUPERVISOR_SOCKET,
            greeting,
            patience=assignment.offline_seconds,
            on_renewed=life.renewed,
            on_abandoned=lambda: _give_up(folder, assignment.offline_seconds),
        )
        connection.sendall(greeting)
    with presence:
        leave_result(folder, _supervised(assignment, life))
    return 0


def _leave_the_executor(folder: Path) -> None:
    """Write to a file of our own from now on: the executor's output may end while we go on."""
    log = os.open(folder / SUPERVISOR_LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    for descriptor in (sys.stdout.fileno(), sys.stderr.fileno()):
        os.dup2(log, descriptor)
    os.close(log)


def _supervised(assignment: Assignment, life: TokenLife) -> AttemptResult:
    try:
        return supervise(assignment, life=life)
    except Exception as error:  # noqa: BLE001 - the edge of the process: whoever waits for the run shall learn what broke
        traceback.print_exc()
        failure = _infrastructure("The run's supervisor broke.", detail=f"{type(error).__name__}: {error}")
        return AttemptResult(verdict=Verdict.FAILED, failure=failure)


def _give_up(folder: Path, seconds: float) -> None:
    """End the process; its kernel goes with it, because the kernel's warden sees the connection end.

    No result is left, so that whoever comes after all has delivered what there is: the run may have ended well.
    """
    _leave(folder / GIVEN_UP_FILE, _infrastructure(f"No executor came back for the run within {seconds:.0f} s."))
    os._exit(0)


def _infrastructure(summary: str, *, detail: str = "") -> Failure:
    remedy = "Submit the run again; if it happens again, tell the operator of the executor."
    return FailedError(FailureReason.INFRASTRUCTURE, summary, detail=detail, remedy=remedy).failure


def leave_result(folder: Path, result: AttemptResult) -> None:
    """Write a result where executors look for it."""
    _leave(folder / RESULT_FILE, result)


def _leave(file: Path, what: AttemptResult | Failure) -> None:
    arriving = file.with_name(f".{file.name}")
    arriving.write_bytes(msgspec.json.encode(what))
    arriving.replace(file)
