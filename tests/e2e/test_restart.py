# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A restart costs no run, however the Hub went; what is stopped for good leaves no process behind."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus.demo import scenes
from animus.demo.hub import LocalHub
from animus.demo.people import log_in
from animus.session import Session
from animus_contracts.audit import Action
from animus_contracts.identifiers import RunId
from animus_contracts.runs import TERMINAL_STATES, CodeRef, FailureReason, RunState, SubmitRun
from tests.fakes.git_repository import GitRepository
from tests.patience import until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

LOCK_FILE = Path(__file__).parents[1] / "faults" / "kernel-lock.txt"
END_SECONDS = 120
STEPS = 40
COUNTING = f"""import animus, time
for step in range({STEPS}):
    animus.log_metric('step', step)
    time.sleep(0.5)
(animus.outputs / 'left.txt').write_text('all of it')
"""
ENDLESS = """import animus, time
open('/tmp/plot.txt', 'w').write('seen')
animus.log_artifact('/tmp/plot.txt')
animus.log_metric('step', 0)
print('kept', flush=True)
time.sleep(3600)
"""


def processes_of(data: Path) -> list[str]:
    """Everything that works in an installation's folder, whoever its parent is."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            command = " ".join(process.cmdline())
            if process.cwd().startswith(str(data)) or str(data) in command:
                found.append(command)
    return found


@dataclass
class Place:
    hub: LocalHub
    client: Client

    def live(self, cell: str) -> RunId:
        """Start a run of one cell and wait until it tells something."""
        repository = GitRepository(self.hub.data / "repositories" / "counting")
        notebook = new_notebook(cells=[new_code_cell(cell)])
        commit = repository.commit({"n.ipynb": nbformat.writes(notebook)})
        environment = self.client.environments.define("plain", python="3.11", requirements=[])
        lock = self.client.environments.lock(environment, LOCK_FILE.read_text()).lock_id
        code = CodeRef(repository=repository.url, commit=commit, path="n.ipynb")
        run_id = self.client.runs.submit(SubmitRun(code=code, environment_lock_id=lock)).run_id
        until(lambda: list(self.client.metrics.list(run_id)), seconds=END_SECONDS, pause=0.2)
        return run_id

    def ended(self, run_id: RunId) -> None:
        until(
            lambda: self.client.runs.read(run_id).state in TERMINAL_STATES,
            seconds=END_SECONDS,
            pause=0.5,
        )


@pytest.fixture(name="place")
def _place() -> Iterator[Place]:
    hub = LocalHub(Path(tempfile.mkdtemp(prefix="animus-restart-")))
    try:
        passwords = hub.passwords()
        hub.start()
        ann = log_in(hub.address, "ann", passwords["ann"])
        session = Session(url=f"{hub.address}/services/animus", token=ann.token, project=scenes.PROJECT)
        with Client(session) as client:
            client.projects.create(scenes.PROJECT)
            yield Place(hub, client)
    finally:
        hub.remove()
        assert processes_of(hub.data) == []


def kill(hub: LocalHub) -> None:
    pid = hub.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: hub.pid is None, seconds=END_SECONDS, pause=0.05)  # until then a start finds it running


@pytest.mark.parametrize("stop", [LocalHub.stop, kill], ids=["stopped", "killed"])
def test_a_run_lives_through_a_restart_of_everything_that_only_watches_it(place: Place, stop: object) -> None:
    assert callable(stop)
    address, run_id = place.hub.address, place.live(COUNTING)
    stop(place.hub)
    place.hub.start()
    assert place.hub.address == address
    place.ended(run_id)
    run = place.client.runs.read(run_id)
    assert run.state is RunState.SUCCEEDED, run.failure
    assert [metric.step for metric in place.client.metrics.list(run_id)] == list(range(STEPS))
    assert len(place.client.runs.explain(run_id).executions) == 1
    assert {artifact.name for artifact in place.client.artifacts.list(run_id)} >= {"left.txt", "n.ipynb", "run.log"}
    assert list(place.client.audit.list(action=Action.TOKEN_REJECTED)) == []


@pytest.mark.parametrize("is_killed", [False, True], ids=["running", "killed"])
def test_what_is_stopped_for_good_is_named_and_what_it_had_is_delivered_by_a_later_start(
    place: Place, *, is_killed: bool
) -> None:
    run_id = place.live(ENDLESS)
    if is_killed:
        kill(place.hub)
    assert f"Ended run {run_id}" in place.hub.end()
    assert processes_of(place.hub.data) == []
    assert "Ended run" not in place.hub.end()

    place.hub.start()
    place.ended(run_id)
    failure = place.client.runs.read(run_id).failure
    assert failure is not None
    assert failure.reason is FailureReason.INFRASTRUCTURE
    assert failure.summary == "The run was ended because its executor was stopped for good."
    assert {artifact.name for artifact in place.client.artifacts.list(run_id)} >= {"plot.txt", "run.log"}
