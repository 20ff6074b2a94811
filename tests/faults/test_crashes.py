# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A process that crashes in a library's code says where in its log: nothing else is left of it."""

from __future__ import annotations

import signal
from pathlib import Path

import psutil
import pytest

from tests.faults.plant import CONTROL, EXECUTOR, a_plant
from tests.patience import until


@pytest.mark.faults
@pytest.mark.parametrize("name", [CONTROL, EXECUTOR])
def test_a_crash_is_in_the_log_of_the_service(tmp_path: Path, name: str) -> None:
    with a_plant(tmp_path) as plant:
        with plant.client() as admin:
            until(lambda: list(admin.executors.list()))
        crashed = plant.processes.pop(name)
        crashed.send_signal(signal.SIGSEGV)

        assert crashed.wait(timeout=10) == -signal.SIGSEGV
        assert "Fatal Python error: Segmentation fault" in (tmp_path / f"{name}.log").read_text()


@pytest.mark.faults
@pytest.mark.parametrize("running", ["animus_runner.parent", ""])
def test_a_crash_of_a_process_it_started_is_there_too(tmp_path: Path, running: str) -> None:
    with a_plant(tmp_path) as plant:
        with plant.client() as admin:
            until(lambda: list(admin.executors.list()))
        parent = plant.processes[EXECUTOR if running else CONTROL].pid
        [child] = [child for child in psutil.Process(parent).children() if running in " ".join(child.cmdline())]
        child.send_signal(signal.SIGSEGV)

        log = tmp_path / f"{EXECUTOR if running else CONTROL}.log"
        until(lambda: "Fatal Python error: Segmentation fault" in log.read_text())


@pytest.mark.faults
def test_a_crash_that_no_test_wished_for_fails_it(tmp_path: Path) -> None:
    def one_that_should_pass() -> None:
        with a_plant(tmp_path, executes=False) as plant:
            plant.processes[CONTROL].send_signal(signal.SIGSEGV)
            plant.processes[CONTROL].wait(timeout=10)

    with pytest.raises(AssertionError, match=r"control crashed \(-11\): Fatal Python error: Segmentation fault"):
        one_that_should_pass()
