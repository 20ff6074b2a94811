# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The executor as a program: it says what is wrong with its settings, takes runs, and stops when it is told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from pathlib import Path

import psutil
import pytest

from animus_contracts.executions import StartExecution, Verdict
from animus_contracts.runs import FailureReason
from animus_executor.owner import FolderTakenError, owned
from animus_executor.runs import RunFolders
from tests.fakes.control_plane import EXECUTOR_TOKEN, ControlPlaneSimulator
from tests.fakes.plans import a_plan, a_planned_environment, an_assignment

HOLDS = """
import pathlib, sys
from animus_executor.owner import owned
with owned(pathlib.Path(sys.argv[1]), patience=0.1):
    pass
"""
COMMAND = [sys.executable, "-m", "animus_executor"]


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    token = tmp_path / "token"
    token.write_text(EXECUTOR_TOKEN)
    token.chmod(0o600)
    return {name: value for name, value in os.environ.items() if not name.startswith("ANIMUS_")} | {
        "ANIMUS_EXECUTOR_NAME": "local",
        "ANIMUS_EXECUTOR_TOKEN_FILE": str(token),
        "ANIMUS_EXECUTOR_DATA": str(tmp_path / "data"),
    }


def test_a_wrong_setting_ends_it_with_one_line(variables: dict[str, str]) -> None:
    done = subprocess.run(COMMAND, env=variables, capture_output=True, check=False)
    assert done.returncode == 2
    assert done.stderr.decode() == "animus-executor: ANIMUS_EXECUTOR_CONTROL_PLANE is required\n"


def test_a_folder_that_another_executor_works_in_is_refused(tmp_path: Path) -> None:
    with owned(tmp_path / "data"):
        with (
            pytest.raises(FolderTakenError, match="give each one a folder of its own"),
            owned(tmp_path / "data", patience=0.3),
        ):
            pass
        done = subprocess.run([sys.executable, "-c", HOLDS, str(tmp_path / "data")], capture_output=True, check=False)
        assert done.stderr.endswith(b"give each one a folder of its own\n")


def test_a_predecessor_that_stops_is_waited_for(tmp_path: Path) -> None:
    predecessor = ExitStack()
    predecessor.enter_context(owned(tmp_path))
    threading.Timer(0.4, predecessor.close).start()
    with owned(tmp_path, patience=5.0):
        pass


def test_it_reports_what_a_killed_predecessor_left_takes_runs_and_stops_with_everything_it_started(
    variables: dict[str, str], tmp_path: Path
) -> None:
    with ControlPlaneSimulator() as simulator:
        abandoned = simulator.grant(a_plan())
        folders = RunFolders(tmp_path / "data")
        left = folders.make(abandoned.lease.execution_id)
        abandoned.started = StartExecution(epoch=1, dispatch_token=abandoned.lease.dispatch_token)
        folders.record(abandoned.lease, an_assignment(abandoned.lease, left, control_plane=simulator.url))
        variables["ANIMUS_EXECUTOR_CONTROL_PLANE"] = simulator.url
        with subprocess.Popen(COMMAND, env=variables, stderr=subprocess.PIPE) as executor:
            end = simulator.ended(abandoned.lease.run_id).ended
            assert end is not None
            assert (end.verdict, end.failure and end.failure.reason) == (Verdict.FAILED, FailureReason.KILLED)
            plan = a_plan(environment=a_planned_environment("x==1 --hash=sha256:" + "0" * 64))
            simulator.submit(plan)
            refused = simulator.ended(plan.run_id).ended
            assert refused is not None
            assert refused.failure is not None
            assert refused.failure.reason is FailureReason.ENVIRONMENT
            started = psutil.Process(executor.pid).children(recursive=True)
            assert started
            executor.send_signal(signal.SIGTERM)
            said = executor.communicate(timeout=20)[1].decode()
        assert executor.returncode == 0
        assert EXECUTOR_TOKEN not in said
        assert not [process for process in started if process.is_running()]
        assert not left.exists()
