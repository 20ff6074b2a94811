# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Only the process that supervises the recorded attempt is ever adopted: no number of a process is believed alone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from animus_contracts.assignments import RESULT_FILE, SUPERVISOR_SOCKET, AttemptResult, Supervising, process_start
from animus_contracts.decoding import convert
from animus_contracts.executions import Verdict
from animus_contracts.identifiers import ExecutionId
from animus_executor.backends.process import attempt as module
from animus_executor.backends.process.attempt import ProcessAttempt

ATTEMPT = ExecutionId("0198-attempt")
SUCCEEDED = AttemptResult(verdict=Verdict.SUCCEEDED)
SAYS_NOTHING = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print("ready", flush=True)
connection, _ = listener.accept()
connection.recv(1)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="an-") as name:
        yield Path(name)


def our_start() -> int:
    return process_start(Path("/proc/self/stat").read_bytes())


@contextmanager
def listening(folder: Path, greeting: bytes) -> Iterator[None]:
    """Listen in a run's folder as a supervisor does; this process plays it."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / SUPERVISOR_SOCKET))
        listener.listen()

        def greet() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(greeting)
                if greeting.endswith(b"\n"):  # one that says less goes away
                    connection.recv(1)

        thread = threading.Thread(target=greet)
        thread.start()
        yield
        with socket.socket(socket.AF_UNIX) as last:  # releases the thread when nobody came
            last.connect(str(folder / SUPERVISOR_SOCKET))
        thread.join(5.0)


def greeting(**changes: object) -> bytes:
    facts: dict[str, object] = {"execution_id": ATTEMPT, "epoch": 3, "process_started": our_start()}
    return msgspec.json.encode(convert(facts | changes, Supervising)) + b"\n"


def test_the_supervisor_of_the_recorded_attempt_is_adopted(folder: Path) -> None:
    with listening(folder, greeting()):
        attempt = ProcessAttempt(folder, ATTEMPT, 3)
        assert attempt.is_running
        assert attempt._supervisor is not None
        attempt._supervisor._connection.close()
        os.close(attempt._supervisor._process)


WRONG = {
    "another attempt": greeting(execution_id="0198-another"),
    "another epoch": greeting(epoch=2),
    "a number given again to somebody else": greeting(process_started=our_start() - 1),
    "no greeting": b"",
    "half a greeting": greeting()[:20],
    "something else": b'{"verdict":"succeeded"}\n',
}


@pytest.mark.parametrize("said", WRONG.values(), ids=WRONG)
def test_a_process_that_is_not_the_one_is_neither_adopted_nor_signalled(folder: Path, said: bytes) -> None:
    with listening(folder, said):
        attempt = ProcessAttempt(folder, ATTEMPT, 3)
        assert not attempt.is_running
        attempt.cancel()
        attempt.kill()  # it would be this process
        assert attempt.wait() is None


def test_a_supervisor_that_does_not_answer_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ANSWER_SECONDS", 0.3)
    command = [sys.executable, "-c", SAYS_NOTHING, str(folder / SUPERVISOR_SOCKET)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as silent:
        assert silent.stdout is not None
        silent.stdout.readline()
        assert not ProcessAttempt(folder, ATTEMPT, 3).is_running
        assert silent.wait(5.0) == -signal.SIGKILL


def test_without_a_supervisor_its_result_is_what_counts(folder: Path) -> None:
    assert ProcessAttempt(folder, ATTEMPT, 3).wait() is None
    (folder / RESULT_FILE).write_bytes(msgspec.json.encode(SUCCEEDED))
    attempt = ProcessAttempt(folder, ATTEMPT, 3)
    assert (attempt.is_running, attempt.wait()) == (False, SUCCEEDED)


def test_half_a_result_is_none(folder: Path) -> None:
    (folder / RESULT_FILE).write_bytes(msgspec.json.encode(SUCCEEDED)[:-4])
    assert ProcessAttempt(folder, ATTEMPT, 3).wait() is None
