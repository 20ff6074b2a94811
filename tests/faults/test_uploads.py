# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A control plane that is killed in the middle of an upload leaves a part file, and takes it away when it is old."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from animus_contracts.digests import digest_bytes
from tests.faults.plant import ADMIN, CONTROL, Plant, a_plant
from tests.patience import until

DAY = 24 * 3600
PIECE = b"x" * (1 << 20)
PIECES = 64

pytestmark = [pytest.mark.faults, pytest.mark.timeout(120)]


def restart(plant: Plant) -> None:
    plant.start(CONTROL)
    plant.wait_ready()


def test_what_a_killed_upload_left_is_gone_when_a_day_has_passed(tmp_path: Path) -> None:
    with a_plant(tmp_path, executes=False) as plant:
        with plant.client() as admin:
            admin.projects.create("wine")

        def parts() -> list[Path]:
            return list(plant.objects.glob("sha256/*/*#*"))

        def killing() -> Iterator[bytes]:
            for _ in range(PIECES // 2):
                yield PIECE
            until(lambda: parts() != [])
            os.killpg(plant.processes[CONTROL].pid, signal.SIGKILL)
            yield from [PIECE] * (PIECES // 2)

        url = f"{plant.url}/api/v1/projects/wine/objects/{digest_bytes(PIECE * PIECES)}"
        headers = {"Authorization": f"Bearer {plant.tokens[ADMIN]}", "Content-Length": str(len(PIECE) * PIECES)}
        with pytest.raises(httpx.TransportError):
            httpx.put(url, content=killing(), headers=headers, timeout=30)
        plant.processes[CONTROL].wait(timeout=10)

        (left,) = parts()
        restart(plant)
        assert parts() == [left]

        os.utime(left, (time.time() - DAY - 60,) * 2)
        os.killpg(plant.processes[CONTROL].pid, signal.SIGKILL)
        plant.processes[CONTROL].wait(timeout=10)
        restart(plant)
        until(lambda: parts() == [])
