# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Whoever stops an executor for good ends what belongs to its runs, and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from animus_contracts.assignments import GIVEN_UP_FILE, RESULT_FILE, AttemptResult
from animus_contracts.executions import Verdict
from animus_executor import remains
from animus_executor.remains import end_remains, processes_in
from animus_executor.runs import RunFolders
from tests.fakes.plans import a_lease, an_assignment

SLEEPS = [sys.executable, "-c", "import time; time.sleep(300)"]


def left_in(data: Path) -> Path:
    """The folder of a started attempt whose executor is gone."""
    folders, lease = RunFolders(data), a_lease()
    folder = folders.make(lease.execution_id)
    folders.record(lease, an_assignment(lease, folder))
    return folder


def test_what_still_writes_into_a_runs_folder_is_ended_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remains, "QUIET_SECONDS", 0.2)
    folder = left_in(tmp_path)
    with (folder / "kernel.log").open("wb") as log, (tmp_path / "other.log").open("wb") as other:
        its, others = psutil.Popen(SLEEPS, stdout=log), psutil.Popen(SLEEPS, stdout=other)
        try:
            assert list(processes_in(folder)) == [its.pid]
            assert end_remains(tmp_path) == []  # no supervisor was at work
            assert its.wait(5.0) == -9
            assert others.poll() is None
        finally:
            others.kill()
            others.wait()


def test_a_run_that_had_ended_keeps_its_result_and_is_not_named(tmp_path: Path) -> None:
    folder = left_in(tmp_path)
    (folder / RESULT_FILE).write_bytes(msgspec.json.encode(AttemptResult(verdict=Verdict.SUCCEEDED)))
    assert end_remains(tmp_path) == []
    assert not (folder / GIVEN_UP_FILE).exists()
    assert [record.execution_id[-12:] for record in RunFolders(tmp_path).left()] == [folder.name]


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["end"], 2, "animus-executor: no arguments, or: end <data folder>\n"),
        (["and", "so"], 2, "animus-executor: no arguments, or: end <data folder>\n"),
        (["end", "/nowhere"], 0, ""),
    ],
)
def test_the_command_says_how_it_is_used(words: list[str], status: int, said: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "animus_executor", *words], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (status, said)
