# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F4: the disk of database and objects is full again and again, in the middle of everything; nothing is corrupted."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.faults.campaign import Campaign, sized
from tests.faults.disks import a_small_disk, fill
from tests.faults.plant import a_plant
from tests.faults.traffic import Traffic, prepare

pytestmark = [pytest.mark.faults, pytest.mark.timeout(sized(240, 2 * 3600))]

LEASE_SECONDS = 2
CYCLES = sized(3, 50)
MEBIBYTES = sized(128, 256)
"""Room for some times the log of SQLite, which grows to 32 MiB before it is written back."""

RECOVERY_SECONDS = 60.0


def test_disks_that_are_full_and_free_again_lose_and_corrupt_nothing(
    tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    f4 = campaign("F4 the stores' disk is full")
    chance = f4.chance()
    with (
        a_small_disk(tmp_path / "stores", mebibytes=MEBIBYTES) as disk,
        a_plant(tmp_path, lease_seconds=LEASE_SECONDS, stores=disk, executes=False) as plant,
    ):
        lock = prepare(plant)
        with Traffic(plant, lock, f4.seed, pause=0.05) as traffic:
            for _ in range(CYCLES):
                time.sleep(chance.uniform(0.2, 1.0))
                fill(disk / "ballast")
                f4.faults["disk filled"] += 1
                time.sleep(chance.uniform(0.5, 2.0))
                (disk / "ballast").unlink()
                f4.recoveries.append(plant.wait_ready())
            traffic.judge(f4)
        assert httpx.get(f"{plant.url}/readyz").json()["failing"] == []
    assert max(f4.recoveries) < RECOVERY_SECONDS
