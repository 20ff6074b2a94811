# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor that was frozen beyond its lease comes back to find that its word no longer counts."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus_contracts.identifiers import RunId
from animus_contracts.runs import CodeRef, FailureReason, Run, RunState, SubmitRun
from tests.fakes.git_repository import GitRepository
from tests.faults.plant import EXECUTOR, Plant, a_plant

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
LEASE_SECONDS = 3


def submitted(plant: Plant, client: Client, source: str) -> RunId:
    repository = GitRepository(plant.repositories / "frozen")
    commit = repository.commit({"wait.ipynb": nbformat.writes(new_notebook(cells=[new_code_cell(source)]))})
    environment = client.environments.define("plain", python="3.11", requirements=[])
    lock = client.environments.lock(environment, LOCK_FILE.read_text())
    code = CodeRef(repository=repository.url, commit=commit, path="wait.ipynb")
    return client.runs.submit(SubmitRun(code=code, environment_lock_id=lock.lock_id)).run_id


def reached(client: Client, run_id: RunId, *states: RunState, patience: float = 90.0) -> Run:
    deadline = time.monotonic() + patience
    while (run := client.runs.read(run_id)).state not in states:
        assert time.monotonic() < deadline, f"the run is still {run.state}"
        time.sleep(0.1)
    return run


@pytest.mark.faults
@pytest.mark.timeout(300)
def test_an_executor_frozen_for_three_leases_changes_nothing_when_it_wakes(tmp_path: Path) -> None:
    with a_plant(tmp_path, lease_seconds=LEASE_SECONDS) as plant:
        with plant.client() as admin:
            admin.projects.create("frozen")
        with plant.client("frozen") as client:
            run_id = submitted(plant, client, "import time\ntime.sleep(8)\nprint('done')")
            reached(client, run_id, RunState.RUNNING)
            executor = plant.processes[EXECUTOR].pid
            os.kill(executor, signal.SIGSTOP)
            frozen = reached(client, run_id, RunState.FAILED)
            assert frozen.failure is not None
            assert frozen.failure.reason is FailureReason.INFRASTRUCTURE
            os.kill(executor, signal.SIGCONT)
            time.sleep(2 * LEASE_SECONDS)
            assert client.runs.read(run_id) == frozen
            assert list(client.artifacts.list(run_id)) == []
            second = client.runs.submit(
                SubmitRun(code=frozen.code, environment_lock_id=frozen.environment_lock_id)
            ).run_id
            assert reached(client, second, RunState.SUCCEEDED, RunState.FAILED).state is RunState.SUCCEEDED
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], check=False, capture_output=True).stdout == b""
