# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A supervisor's process leaves one result, whole, whatever happens to it short of being killed."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from animus_contracts.assignments import RESULT_FILE, SUPERVISOR_LOG, Assignment, AttemptResult, Supervising
from animus_contracts.decoding import decode_json
from animus_contracts.executions import Verdict
from animus_contracts.runs import FailureReason
from animus_runner.serving import serve
from tests.fakes.plans import a_lease, a_plan, an_assignment

SERVES = """
import socket, sys
from animus_runner import serving

def breaks(assignment, **_):
    raise ZeroDivisionError("nobody thought of this")

serving.supervise = breaks
raise SystemExit(serving.serve(socket.socket(fileno=int(sys.argv[1]))))
"""


@pytest.fixture
def assignment(tmp_path: Path) -> Assignment:
    (tmp_path / "run").mkdir()
    return an_assignment(a_lease(a_plan()), tmp_path / "run", epoch=3)


def test_a_supervisor_that_breaks_says_what_broke_and_writes_nothing_where_its_executor_does(
    assignment: Assignment,
) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(msgspec.json.encode(assignment) + b"\n")
        done = subprocess.run(
            [sys.executable, "-c", SERVES, str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            capture_output=True,
            check=True,
            timeout=60,
        )
        said = decode_json(ours.recv(4096), Supervising)
    folder = Path(assignment.run_folder)
    assert (said.execution_id, said.epoch) == (assignment.execution_id, 3)
    result = decode_json((folder / RESULT_FILE).read_bytes(), AttemptResult)
    assert result.failure is not None
    assert (result.verdict, result.failure.reason) == (Verdict.FAILED, FailureReason.INFRASTRUCTURE)
    assert result.failure.detail == "ZeroDivisionError: nobody thought of this"
    assert (done.stdout, done.stderr) == (b"", b"")
    assert "nobody thought of this" in (folder / SUPERVISOR_LOG).read_text()
    assert all(b"ar_token" not in path.read_bytes() for path in folder.iterdir() if path.is_file())


def test_an_executor_that_dies_while_it_speaks_starts_nothing(assignment: Assignment) -> None:
    ours, theirs = socket.socketpair()
    with ours:
        ours.sendall(msgspec.json.encode(assignment)[:100])
        ours.shutdown(socket.SHUT_WR)
        assert serve(theirs) == 1
    assert list(Path(assignment.run_folder).iterdir()) == []
