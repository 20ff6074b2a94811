# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Processes are killed at random while runs are submitted: nothing is lost, nothing is doubled, nothing is stuck.

Everything is real here: the control plane, the executor, its kernels.
"""

from __future__ import annotations

import contextlib
import json
import random
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest

from animus.client import Client
from animus.errors import UnreachableError
from animus_contracts.identifiers import LockId
from animus_contracts.runs import TERMINAL_STATES, CodeRef, RunState, SubmitRun
from tests.faults.campaign import Campaign, sized
from tests.faults.invariants import Promised, broken_invariants
from tests.faults.observers import told_by
from tests.faults.plant import CONTROL, EXECUTOR, Plant, a_plant

KILLS = sized(12, 300)
RUNS = sized(40, 1000)
SETTLE_SECONDS = 240.0
PROJECT = "campaign"
RUNNER = "a process of a run"
LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"


def _notebook() -> str:
    cells = [
        {
            "cell_type": "code", "id": f"cell-{number}", "metadata": {}, "outputs": [], "execution_count": None,
            "source": f"import time\ntime.sleep(0.05)\nprint({number})",
        }
        for number in range(5)
    ]  # fmt: skip
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return json.dumps({"cells": cells, "metadata": kernel, "nbformat": 4, "nbformat_minor": 5})


def _repository(plant: Plant) -> CodeRef:
    folder = plant.repositories / "campaign"
    folder.mkdir()
    (folder / "sleepy.ipynb").write_text(_notebook())
    identity = ["-c", "user.name=campaign", "-c", "user.email=campaign@example.test"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "A notebook to run"]):
        subprocess.run(["git", *command], cwd=folder, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=True, capture_output=True, text=True)
    return CodeRef(repository=folder.as_uri(), commit=head.stdout.strip(), path="sleepy.ipynb")


def _prepare(plant: Plant) -> tuple[CodeRef, LockId]:
    with plant.client() as admin:
        admin.projects.create(PROJECT)
    with plant.client(PROJECT) as client:
        environment = client.environments.define("plain", python="3.11", requirements=[])
        lock = client.environments.lock(environment, LOCK_FILE.read_text())
    return _repository(plant), lock.lock_id


def _submit(plant: Plant, label: str, code: CodeRef, lock: LockId) -> tuple[str, str]:
    """Submit until it is acknowledged, always under the same key, as a client must that heard no answer."""
    submission = SubmitRun(code=code, environment_lock_id=lock, labels={"submission": label})
    with plant.client(PROJECT) as client:
        while True:
            try:
                return label, client.runs.submit(submission, key=f"campaign-{label}").run_id
            except UnreachableError:
                time.sleep(0.2)


def _victims(chance: random.Random) -> Iterator[str]:
    """Yield every kind of victim as often as the others, in an order nobody can foresee."""
    while True:
        yield from chance.sample([CONTROL, EXECUTOR, RUNNER], 3)


def _kill(plant: Plant, victim: str, chance: random.Random) -> None:
    if victim == RUNNER:
        candidates = plant.run_processes()
        if candidates:
            with contextlib.suppress(psutil.NoSuchProcess):
                chance.choice(candidates).kill()
        return
    plant.kill(victim)
    time.sleep(chance.uniform(0.0, 1.0))
    plant.start(victim)


def _settled(client: Client, count: int) -> bool:
    with contextlib.suppress(UnreachableError):
        runs = list(client.runs.list())
        return len(runs) >= count and all(run.state in TERMINAL_STATES for run in runs)
    return False


@pytest.mark.faults
@pytest.mark.timeout(sized(600, 4 * 3600))
def test_killed_processes_lose_nothing_double_nothing_and_leave_nothing_stuck(
    tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    everything = campaign("F1+F2 every kind of process killed")
    chance = everything.chance()
    submitted = threading.Event()
    with a_plant(tmp_path) as plant:
        code, lock = _prepare(plant)
        _, first = _submit(plant, "warm", code, lock)
        with plant.client(PROJECT) as client:
            assert client.runs.wait(first).state is RunState.SUCCEEDED, f"{client.runs.read(first).failure}"

        def killer() -> None:
            for victim in _victims(chance):
                time.sleep(chance.uniform(0.5, 2.0))
                _kill(plant, victim, chance)
                everything.faults[f"{victim} killed"] += 1
                plant.revive()
                if submitted.is_set() and everything.faults.total() >= KILLS:
                    return

        threat = threading.Thread(target=killer)
        threat.start()

        def slow_submit(label: str) -> tuple[str, str]:
            time.sleep(0.5)
            return _submit(plant, label, code, lock)

        with ThreadPoolExecutor(4) as pool:
            acknowledged = dict(pool.map(slow_submit, [f"{number:04}" for number in range(RUNS)]))
            submitted.set()
        threat.join()
        plant.wait_ready()
        with plant.client(PROJECT) as client:
            deadline = time.monotonic() + SETTLE_SECONDS
            while not _settled(client, RUNS + 1) and time.monotonic() < deadline:
                time.sleep(0.5)
                plant.revive()
            observed = told_by(client)
    states = Counter(run.state for run in observed.runs)
    everything.runs = len(observed.runs)
    everything.finish(broken_invariants(observed, Promised(submissions=acknowledged)))
    assert states[RunState.SUCCEEDED] > RUNS // 4, f"{everything}: {states}"
