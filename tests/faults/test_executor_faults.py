# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F2: whatever a run dies of is told truly and soon: its kernel, its memory, its supervisor, its disk, its executor.

One executor with real kernels meets every fate in an order that chance decides; after each the next run succeeds.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus_contracts.environments import Resources
from animus_contracts.identifiers import LockId, RunId
from animus_contracts.runs import TERMINAL_STATES, CodeRef, FailureReason, Run, RunState, SubmitRun
from tests.fakes.git_repository import GitRepository
from tests.faults.campaign import Campaign, sized
from tests.faults.disks import a_small_disk, fill
from tests.faults.invariants import Promised, broken_invariants
from tests.faults.observers import told_by
from tests.faults.plant import EXECUTOR, Plant, a_plant

pytestmark = [pytest.mark.faults, pytest.mark.timeout(sized(400, 3 * 3600))]

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
LEASE_SECONDS = 4
ROUNDS = sized(1, 20)
DETECTED_SECONDS = 90.0
DISK_MIB = 64
MEMORY_MIB = 512
R = FailureReason
KERNEL = "animus-fate"
PR_SET_NAME = 15
SLOW = f"""import ctypes, time
ctypes.CDLL(None).prctl({PR_SET_NAME}, b'{KERNEL}', 0, 0, 0)
time.sleep(3)"""
"""A cell that takes its time, in a kernel that can be told from the parent that it was forked from."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What befalls a run.

    Attributes:
        source: Its one cell.
        befall: What is done to it while the cell runs, if anything.
        reasons: What it may be said to have failed of.
        may_survive: Whether it may succeed in spite of it.
        said: What stands in the detail of its failure.
    """

    source: str
    befall: Callable[[Plant, RunId], None] | None
    reasons: frozenset[FailureReason]
    may_survive: bool = False
    said: str = ""


def kill_kernel(_: Plant, __: RunId) -> None:
    """Kill the kernel, as soon as it has given itself its name."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        kernels = [process for process in psutil.process_iter(["name"]) if process.info["name"] == KERNEL]
        for kernel in kernels:
            kernel.kill()
        if kernels:
            return
        time.sleep(0.02)
    raise AssertionError("there is no kernel to kill")


def kill_supervisor(plant: Plant, _: RunId, *, number: signal.Signals = signal.SIGKILL) -> None:
    """Send a signal to whoever listens in the run's folder."""
    runs = str(plant.folder / EXECUTOR / "runs")
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(str(each.laddr).startswith(runs) for each in process.net_connections("unix")):
                process.send_signal(number)


def kill_executor(plant: Plant, _: RunId) -> None:
    plant.kill(EXECUTOR)
    plant.start(EXECUTOR)


def fill_disk(plant: Plant, _: RunId) -> None:
    fill(plant.folder / EXECUTOR / "runs" / "ballast")


FATES = {
    "the kernel kills itself": Fate(
        "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", None, frozenset({R.KILLED})
    ),
    "the kernel exits": Fate("import os\nos._exit(3)", None, frozenset({R.KILLED, R.USER_CODE})),
    "the kernel takes all memory": Fate("x = bytearray(4 << 30)", None, frozenset({R.OUT_OF_MEMORY})),
    "the kernel is killed": Fate(SLOW, kill_kernel, frozenset({R.KILLED})),
    "the supervisor is killed": Fate(SLOW, kill_supervisor, frozenset({R.KILLED, R.INFRASTRUCTURE})),
    "the supervisor crashes": Fate(
        SLOW,
        partial(kill_supervisor, number=signal.SIGSEGV),
        frozenset({R.KILLED, R.INFRASTRUCTURE}),
        said="Fatal Python error: Segmentation fault",
    ),
    "the executor is killed": Fate(SLOW, kill_executor, frozenset({R.KILLED, R.INFRASTRUCTURE}), may_survive=True),
    "the disk is full": Fate(
        SLOW + "\nprint('x' * 100_000)",
        fill_disk,
        frozenset({R.KILLED, R.INFRASTRUCTURE, R.USER_CODE}),
        may_survive=True,
    ),
}


@dataclass(frozen=True, slots=True)
class Ground:
    """Where runs are submitted."""

    plant: Plant
    client: Client
    repository: GitRepository
    lock: LockId

    def submit(self, source: str, label: str) -> RunId:
        notebook = new_notebook(cells=[new_code_cell(source)])
        commit = self.repository.commit({"fate.ipynb": nbformat.writes(notebook)})
        code = CodeRef(repository=self.repository.url, commit=commit, path="fate.ipynb")
        resources = Resources(memory_mib=MEMORY_MIB)
        submission = SubmitRun(
            code=code, environment_lock_id=self.lock, resources=resources, labels={"submission": label}
        )
        return self.client.runs.submit(submission, key=f"fate-{label.replace(' ', '-')}").run_id

    def until(self, run_id: RunId, holds: Callable[[Run], bool], seconds: float = DETECTED_SECONDS) -> Run:
        deadline = time.monotonic() + seconds
        while not holds(run := self.client.runs.read(run_id)):
            assert time.monotonic() < deadline, f"I7: the run is still {run.state}"
            time.sleep(0.1)
            self.plant.revive()
        return run


@contextmanager
def ground(folder: Path) -> Iterator[Ground]:
    """An installation whose executor has a small disk for its runs."""
    with a_plant(folder, lease_seconds=LEASE_SECONDS, executes=False) as plant:
        (folder / EXECUTOR).mkdir(mode=0o700)
        with a_small_disk(folder / EXECUTOR / "runs", mebibytes=DISK_MIB):
            plant.start(EXECUTOR)
            with plant.client() as admin:
                admin.projects.create("fates")
            with plant.client("fates") as client:
                environment = client.environments.define("plain", python="3.11", requirements=[])
                lock = client.environments.lock(environment, LOCK_FILE.read_text())
                yield Ground(plant, client, GitRepository(plant.repositories / "fates"), lock.lock_id)
                plant.kill(EXECUTOR)


def meet(place: Ground, fate: Fate, label: str, campaign: Campaign) -> list[str]:
    """Let a run meet its fate and say what is told wrongly of it."""
    run_id = place.submit(fate.source, label)
    if fate.befall is not None:
        place.until(run_id, lambda run: run.progress.current_cell is not None)
        fate.befall(place.plant, run_id)
    began = time.monotonic()
    run = place.until(run_id, lambda run: run.state in TERMINAL_STATES)
    campaign.recoveries.append(time.monotonic() - began)
    (place.plant.folder / EXECUTOR / "runs" / "ballast").unlink(missing_ok=True)
    if run.state is RunState.SUCCEEDED and fate.may_survive:
        return []
    if run.failure is None or run.failure.reason not in fate.reasons or fate.said not in run.failure.detail:
        return [f"I15: {label}: {run.state}, {run.failure}"]
    return []


def test_every_fate_is_told_truly_and_the_next_run_succeeds(
    tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    f2 = campaign("F2 kernel, memory, supervisor, disk, executor")
    chance = f2.chance()
    found: list[str] = []
    with ground(tmp_path) as place:
        for number in range(ROUNDS):
            for name in chance.sample(sorted(FATES), len(FATES)):
                found += meet(place, FATES[name], f"{name} {number}", f2)
                f2.faults[name] += 1
            after = place.submit("print('well')", f"after {number}")
            run = place.until(after, lambda run: run.state in TERMINAL_STATES)
            found += [] if run.state is RunState.SUCCEEDED else [f"I7: nothing runs any more: {run.failure}"]
        observed = told_by(place.client)
    f2.runs = len(observed.runs)
    f2.finish(found + broken_invariants(observed, Promised(reasons=frozenset(R))))
    assert os.path.ismount(tmp_path / EXECUTOR / "runs") is False
