# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F1: the control plane is killed at every named point and at random times, in the middle of everything it does."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from animus_contracts.endpoints import BY_OPERATION
from animus_control.failpoints import POINTS, TRANSACTION_POINTS
from tests.faults.campaign import Campaign, sized
from tests.faults.plant import CONTROL, Plant, a_plant
from tests.faults.traffic import Traffic, prepare

LEASE_SECONDS = 2
OPERATIONS = (
    "runs.submit", "runs.cancel", "executions.lease", "executions.start", "executions.report", "executions.heartbeat",
    "executions.put_object", "executions.end",
)  # fmt: skip
AROUND = sorted({f"{at}.{operation}" for operation in OPERATIONS for at in ("before", "after")} & POINTS)
RANDOM_KILLS = sized(8, 1000)
ROUNDS = sized(1, 10)
READY_P99_SECONDS = sized(20, 5)  # a change is tested on machines that do other things, too

pytestmark = [pytest.mark.faults, pytest.mark.timeout(sized(300, 4 * 3600))]


def points(chance: random.Random) -> list[str]:
    """Return every point with a time at which it crashes, in an order that chance decides."""
    found = [f"{point}=crash@{chance.randint(2, 40)}" for point in TRANSACTION_POINTS]
    found += [f"{point}=crash@{chance.randint(1, 3)}" for point in AROUND]
    chance.shuffle(found)
    return found


def die(plant: Plant, campaign: Campaign, name: str, *, patience: float) -> None:
    """Wait for the control plane to die by itself, and kill it when it does not."""
    deadline = time.monotonic() + patience
    process = plant.processes[CONTROL]
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    if process.poll() is None:
        plant.kill(CONTROL)
        name = "killed at random"
    campaign.faults[name] += 1


def test_every_point_of_traffic_belongs_to_an_operation() -> None:
    assert set(OPERATIONS) <= set(BY_OPERATION)
    assert len(AROUND) == 2 * len(OPERATIONS)


def test_a_control_plane_killed_at_every_point_loses_nothing_and_doubles_nothing(
    tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    f1 = campaign("F1 control plane killed")
    chance = f1.chance()
    with a_plant(tmp_path, lease_seconds=LEASE_SECONDS, executes=False) as plant:
        lock = prepare(plant)
        with Traffic(plant, lock, f1.seed) as traffic:
            for _ in range(ROUNDS):
                for rule in points(chance):
                    plant.kill(CONTROL)
                    plant.start(CONTROL, failpoints=rule)
                    with suppress(TimeoutError):  # it may die before it could be asked
                        f1.recoveries.append(plant.wait_ready())
                    die(plant, f1, rule.partition("=")[0], patience=3.0)
            for _ in range(RANDOM_KILLS):
                plant.start(CONTROL)
                f1.recoveries.append(plant.wait_ready())
                die(plant, f1, "killed at random", patience=chance.uniform(0.0, 0.7))
            plant.start(CONTROL)
            plant.wait_ready()
            traffic.judge(f1)
    assert sorted(f1.recoveries)[int(len(f1.recoveries) * 0.99) - 1] < READY_P99_SECONDS
