# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Started runs outlive both who executes them and who decides about them; nothing of them is lost meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus_contracts.audit import Action
from animus_contracts.identifiers import RunId
from animus_contracts.runs import TERMINAL_STATES, CodeRef, Run, RunState, SubmitRun
from tests.fakes.git_repository import GitRepository
from tests.faults.plant import CONTROL, EXECUTOR, Plant, a_plant
from tests.patience import until

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
LEASE_SECONDS = 3
PATIENT_LEASE_SECONDS = 60
"""Long enough for an executor to start again on a busy machine, and to see that nothing has waited for its end."""

TOKEN_SECONDS = 6
RUNS = 5
MACHINE = {
    "ANIMUS_EXECUTOR_SLOTS": str(RUNS),
    "ANIMUS_EXECUTOR_CPUS": str(RUNS),
    "ANIMUS_EXECUTOR_MEMORY_MIB": "16384",
}
SETTLE_SECONDS = 120.0
COUNTING = """import animus, time
for step in range({seconds} * 2):
    animus.log_metric('step', step)
    time.sleep(0.5)
"""
STUBBORN = "print('kept', flush=True)\nwhile True:\n    try: time.sleep(60)\n    except KeyboardInterrupt: pass"
LEAVING = "(animus.outputs / 'left.txt').write_text('all of it')"


@contextmanager
def project(folder: Path, lease_seconds: int = LEASE_SECONDS) -> Iterator[tuple[Plant, Client]]:
    """An installation whose executor has room for all runs, and its client."""
    with a_plant(folder, lease_seconds=lease_seconds, executes=False) as plant:
        with plant.client() as admin:
            admin.projects.create("outages")
        with plant.client("outages") as client:
            plant.start(EXECUTOR, **MACHINE)
            yield plant, client


def submit(plant: Plant, client: Client, *cells: str, count: int = RUNS) -> list[RunId]:
    repository = GitRepository(plant.repositories / "outages")
    notebook = new_notebook(cells=[new_code_cell(cell) for cell in cells])
    commit = repository.commit({"n.ipynb": nbformat.writes(notebook)})
    locks = [lock.lock_id for lock in client.environments.locks("plain")]
    if not locks:
        environment = client.environments.define("plain", python="3.11", requirements=[])
        locks = [client.environments.lock(environment, LOCK_FILE.read_text()).lock_id]
    code = CodeRef(repository=repository.url, commit=commit, path="n.ipynb")
    return [client.runs.submit(SubmitRun(code=code, environment_lock_id=locks[0])).run_id for _ in range(count)]


def reached(client: Client, run_ids: list[RunId], *states: RunState, patience: float = SETTLE_SECONDS) -> list[Run]:
    deadline = time.monotonic() + patience
    while True:
        runs = [client.runs.read(run_id) for run_id in run_ids]
        if all(run.state in states for run in runs):
            return runs
        told = [(run.state, run.failure and run.failure.summary) for run in runs]
        assert time.monotonic() < deadline, f"the runs are {told}"
        time.sleep(0.2)


def live(client: Client, run_ids: list[RunId]) -> None:
    """Wait until every run executes user code."""
    reached(client, run_ids, RunState.RUNNING)
    until(lambda: all(list(client.metrics.list(run_id)) for run_id in run_ids), seconds=SETTLE_SECONDS, pause=0.2)


def check_whole(client: Client, runs: list[Run], seconds: int) -> None:
    """Everything that was logged and left is there, in order and once."""
    for run in runs:
        assert run.state is RunState.SUCCEEDED, run.failure
        assert [metric.step for metric in client.metrics.list(run.run_id)] == list(range(2 * seconds))
        assert {artifact.name for artifact in client.artifacts.list(run.run_id)} >= {"left.txt", "n.ipynb", "run.log"}
        assert len(client.runs.explain(run.run_id).executions) == 1


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_an_executor_that_is_killed_and_started_again_goes_on_with_what_runs(tmp_path: Path) -> None:
    with project(tmp_path, lease_seconds=PATIENT_LEASE_SECONDS) as (plant, client):
        run_ids = submit(plant, client, COUNTING.format(seconds=10), LEAVING)
        live(client, run_ids)
        plant.kill(EXECUTOR)
        time.sleep(1)
        plant.start(EXECUTOR, **MACHINE)
        check_whole(client, reached(client, run_ids, *TERMINAL_STATES), 10)
    assert not plant.run_processes()


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_an_executor_that_is_to_leave_its_runs_is_stopped_and_started_again_at_their_cost_of_nothing(
    tmp_path: Path,
) -> None:
    with project(tmp_path, lease_seconds=PATIENT_LEASE_SECONDS) as (plant, client):
        plant.kill(EXECUTOR)
        plant.start(EXECUTOR, **MACHINE, ANIMUS_EXECUTOR_LEAVES_RUNS="1")
        run_ids = submit(plant, client, COUNTING.format(seconds=10), LEAVING)
        live(client, run_ids)
        plant.processes[EXECUTOR].terminate()
        assert plant.processes[EXECUTOR].wait(timeout=20) == 0
        plant.start(EXECUTOR, **MACHINE)
        check_whole(client, reached(client, run_ids, *TERMINAL_STATES), 10)
    assert not plant.run_processes()


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_no_token_that_ran_out_in_an_outage_is_presented_to_anybody(tmp_path: Path) -> None:
    with project(tmp_path) as (plant, client):
        plant.kill(CONTROL)
        plant.token_seconds = TOKEN_SECONDS
        plant.start(CONTROL)
        plant.wait_ready()
        run_ids = submit(plant, client, COUNTING.format(seconds=20), LEAVING)
        live(client, run_ids)
        plant.kill(CONTROL)
        time.sleep(2 * TOKEN_SECONDS)
        plant.start(CONTROL)
        plant.wait_ready()
        check_whole(client, reached(client, run_ids, *TERMINAL_STATES), 20)
        assert list(client.audit.list(action=Action.TOKEN_REJECTED)) == []


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_what_was_killed_with_its_executor_is_reported_at_once_by_the_next_one(tmp_path: Path) -> None:
    with project(tmp_path, lease_seconds=PATIENT_LEASE_SECONDS) as (plant, client):
        run_ids = submit(plant, client, COUNTING.format(seconds=60), count=1)
        live(client, run_ids)
        plant.kill(EXECUTOR)
        for process in plant.run_processes("animus_runner.parent"):
            process.kill()
        started = time.monotonic()
        plant.start(EXECUTOR, **MACHINE)
        [run] = reached(client, run_ids, *TERMINAL_STATES)
        assert run.failure is not None
        assert (run.failure.reason, run.failure.summary) == ("killed", "The run's supervisor was killed.")
        assert time.monotonic() - started < PATIENT_LEASE_SECONDS / 2


@pytest.mark.faults
@pytest.mark.timeout(400)
def test_an_adopted_run_is_canceled_within_five_seconds_and_keeps_what_it_wrote(tmp_path: Path) -> None:
    with project(tmp_path, lease_seconds=PATIENT_LEASE_SECONDS) as (plant, client):
        run_ids = submit(plant, client, COUNTING.format(seconds=1) + STUBBORN, count=1)
        live(client, run_ids)
        plant.kill(EXECUTOR)
        plant.start(EXECUTOR, **MACHINE)
        while "adopted attempt" not in (tmp_path / "executor.log").read_text():
            time.sleep(0.1)
        asked = time.monotonic()
        client.runs.cancel(run_ids[0], reason="enough")
        [run] = reached(client, run_ids, *TERMINAL_STATES)
        assert run.state is RunState.CANCELED
        assert time.monotonic() - asked < 5.0
        executed = client.artifacts.download(client.artifacts.named(run.run_id, "n.ipynb"), tmp_path / "executed")
        assert "kept" in executed.read_text()
