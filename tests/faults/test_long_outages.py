# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F22: an hour without the control plane, in which the executor is killed as well, costs no run and loses nothing.

At night as many runs live as ``ANIMUS_CAMPAIGN_RUNS`` says. Most of them go on through the outage, some end in it and
some fail; all of them tell something all the time.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus_contracts.audit import Action
from animus_contracts.environments import Resources
from animus_contracts.runs import TERMINAL_STATES, CodeRef, FailureReason, Run, RunState, SubmitRun
from tests.fakes.git_repository import GitRepository
from tests.faults.campaign import Campaign, sized
from tests.faults.invariants import Promised, broken_invariants
from tests.faults.observers import told_by
from tests.faults.plant import CONTROL, EXECUTOR, Plant, a_plant

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
RUNS = int(os.environ.get("ANIMUS_CAMPAIGN_RUNS", "0")) or sized(5, 200)
LEASE_SECONDS = sized(3, 30)
AT_ONCE = 20
"""How many are started at once: the outage is what is tested here, not the crowd before it."""

STARTING_SECONDS = sized(45, 900)
"""How long it may take until all of them live."""

OUTAGE_SECONDS = sized(12, 3600)
PAUSE_SECONDS = sized(1, 5)
RIGHT_SECONDS = 120.0
MARGIN_SECONDS = sized(20, 240)
"""How long runs go on after the outage at least."""

END_SECONDS = sized(120, 1200)
RESOURCES = Resources(memory_mib=256, wall_seconds=4 * 3600)
MACHINE = {
    "ANIMUS_EXECUTOR_SLOTS": str(RUNS),
    "ANIMUS_EXECUTOR_CPUS": str(RUNS),
    "ANIMUS_EXECUTOR_MEMORY_MIB": str(RUNS * RESOURCES.memory_mib),
}
TELLING = """import animus, time
step = 0
while time.time() < {until}:
    animus.log_metric('step', step)
    step += 1
    time.sleep({pause})
"""
LEAVING = "(animus.outputs / 'left.txt').write_text(str(step))"
BREAKING = "raise ValueError(step)"
GOING_ON, ENDING, FAILING = "going on", "ending", "failing"
KINDS = [ENDING, FAILING, *[GOING_ON] * (RUNS - 2)] if RUNS < 10 else [ENDING, FAILING, *[GOING_ON] * 8]
AT_LAST = {GOING_ON: RunState.SUCCEEDED, ENDING: RunState.SUCCEEDED, FAILING: RunState.FAILED}


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs live through an outage that begins within :data:`STARTING_SECONDS`.

    Attributes:
        began: Time of day at which the first run was submitted.
    """

    plant: Plant
    client: Client
    began: float

    @property
    def middle(self) -> float:
        """When those end that end in the outage: its middle, should everything start as late as it may."""
        return self.began + STARTING_SECONDS + OUTAGE_SECONDS / 2

    @property
    def end(self) -> float:
        """When those end that go on."""
        return self.began + STARTING_SECONDS + OUTAGE_SECONDS + MARGIN_SECONDS

    def live_all(self) -> None:
        """Submit every run, its kind as its label, some at a time, and wait until each executes user code."""
        repository = GitRepository(self.plant.repositories / "outages")
        last = {GOING_ON: LEAVING, ENDING: LEAVING, FAILING: BREAKING}
        until = {GOING_ON: self.end, ENDING: self.middle, FAILING: self.middle}
        cells = {kind: [TELLING.format(until=until[kind], pause=PAUSE_SECONDS), last[kind]] for kind in last}
        files = {f"{kind}.ipynb": new_notebook(cells=[*map(new_code_cell, cells[kind])]) for kind in cells}
        commit = repository.commit({name: nbformat.writes(notebook) for name, notebook in files.items()})
        environment = self.client.environments.define("plain", python="3.11", requirements=[], limits=RESOURCES)
        lock = self.client.environments.lock(environment, LOCK_FILE.read_text()).lock_id
        for number in range(RUNS):
            kind = KINDS[number % len(KINDS)]
            code = CodeRef(repository=repository.url, commit=commit, path=f"{kind}.ipynb")
            labels = {"kind": kind, "submission": str(number)}
            self.client.runs.submit(
                SubmitRun(code=code, environment_lock_id=lock, resources=RESOURCES, labels=labels), key=f"run-{number}"
            )
            if number % AT_ONCE == AT_ONCE - 1 or number == RUNS - 1:
                self.until(lambda run: run.progress.current_cell is not None, STARTING_SECONDS)
        assert time.time() < self.began + STARTING_SECONDS, "the machine is too slow to start so many runs"

    def until(self, holds: Callable[[Run], bool], seconds: float) -> float:
        """Wait until something holds for every run; return how long that took in seconds."""
        began = time.monotonic()
        while others := [run for run in self.client.runs.list() if not holds(run)]:
            told = [(run.labels["kind"], run.state, run.failure and run.failure.summary) for run in others[:5]]
            assert time.monotonic() - began < seconds, f"after {seconds} s {len(others)} runs are not: {told}"
            time.sleep(0.5)
        return time.monotonic() - began

    def replace_executor(self) -> None:
        """Kill the executor, and wait until its successor has found all that the first one left."""
        log = self.plant.folder / f"{EXECUTOR}.log"
        self.plant.kill(EXECUTOR)
        self.plant.start(EXECUTOR, **MACHINE)
        deadline = time.monotonic() + STARTING_SECONDS
        while len(re.findall("adopted attempt|found the end of", log.read_text())) < RUNS:
            assert time.monotonic() < deadline, "the second executor did not find every attempt"
            time.sleep(0.5)

    def lost(self) -> Iterator[str]:
        """Say of every run what it should have left, and has not: its end, or something that it told."""
        for run in self.client.runs.list():
            kind = run.labels["kind"]
            if run.state is not AT_LAST[kind]:
                yield f"I1: {run.run_id}, {kind}, is {run.state}: {run.failure}"
                continue
            steps = [metric.step for metric in self.client.metrics.list(run.run_id)]
            if steps != list(range(self._told(run))):
                yield f"I1: {run.run_id}, {kind}, told {self._told(run)} steps, of which {len(steps)} arrived"

    def refused(self) -> Iterator[str]:
        """Say of every token that was refused whose it was: nobody presents one that he knows to have run out."""
        for event in self.client.audit.list(action=Action.TOKEN_REJECTED):
            yield f"I11: a token was presented that had no force: {bytes(event.record).decode()}"

    def _told(self, run: Run) -> int:
        """Return how many steps a run has told, in its own last words."""
        if run.failure is not None:
            return int(run.failure.exception.rpartition(" ")[2])
        left = self.client.artifacts.named(run.run_id, "left.txt")
        return int(self.client.artifacts.download(left, self.plant.folder / "left").read_text())


def is_right(run: Run) -> bool:
    """Say whether a run's state is what it is after the outage: at its end, or at work."""
    kind = run.labels["kind"]
    return run.state is AT_LAST[kind] or (kind == GOING_ON and run.state is RunState.RUNNING)


@contextmanager
def a_place(folder: Path) -> Iterator[Place]:
    """An installation whose executor has room for all runs."""
    with a_plant(folder, lease_seconds=LEASE_SECONDS, executes=False) as plant:
        with plant.client() as admin:
            admin.projects.create("outages")
        with plant.client("outages") as client:
            plant.start(EXECUTOR, **MACHINE)
            yield Place(plant, client, time.time())


def sleep_until(when: float) -> None:
    """Sleep until a time of day."""
    time.sleep(max(0.0, when - time.time()))


@pytest.mark.faults
@pytest.mark.timeout(sized(500, 4 * 3600))
def test_runs_outlive_an_outage_of_the_control_plane_in_which_their_executor_is_killed(
    tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    f22 = campaign("F22 an outage of the control plane, and of the executor in it")
    f22.runs = RUNS
    with a_place(tmp_path) as place:
        place.live_all()
        place.plant.kill(CONTROL)
        gone = time.time()
        sleep_until(gone + OUTAGE_SECONDS / 3)
        place.replace_executor()
        f22.faults.update(["control plane away", "executor killed"])
        sleep_until(max(gone + OUTAGE_SECONDS, place.middle + PAUSE_SECONDS))
        place.plant.start(CONTROL)
        place.plant.wait_ready()
        f22.recoveries.append(place.until(is_right, RIGHT_SECONDS))
        sleep_until(place.end)
        place.until(lambda run: run.state in TERMINAL_STATES, END_SECONDS)
        told = broken_invariants(told_by(place.client), Promised(reasons=frozenset({FailureReason.USER_CODE})))
        f22.finish([*place.lost(), *place.refused(), *told])
