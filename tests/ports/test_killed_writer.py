# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A writer that is killed loses nothing it has acknowledged, and leaves a chain that holds."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from animus_contracts.audit import first_fault
from animus_control.storage.engine import open_database
from tests.ports.records_of_a_project import PROJECT_ID, a_project, write

ROOT = Path(__file__).parents[2]
KILLS = 3
ACKNOWLEDGED = 60


def write_until_killed(url: str, first: int) -> list[str]:
    """Start a writer, kill it in the middle, and return what it had acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.ports.acknowledging_writer", url, str(first)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        seen = [process.stdout.readline().strip() for _ in range(ACKNOWLEDGED)]
        os.kill(process.pid, signal.SIGKILL)
        return seen + [line.strip() for line in process.stdout if line.endswith("\n")]


@pytest.mark.faults
def test_killed_writer_loses_nothing_it_acknowledged(database_url: str) -> None:
    database = open_database(database_url)
    write(database, lambda uow: uow.projects.add(a_project()))
    database.close()
    acknowledged: list[str] = []
    for kill in range(KILLS):
        acknowledged += write_until_killed(database_url, 10_000 * (kill + 1))
    database = open_database(database_url)
    missing = [
        name
        for name in acknowledged
        if name and database.read(lambda uow, n=name: uow.datasets.find(PROJECT_ID, name=n)) is None
    ]
    events = []
    cursor = None
    while True:
        page = database.read(lambda uow, c=cursor: uow.audit.page(None, limit=200, cursor=c))
        events += page.items
        cursor = page.next_cursor
        if cursor is None:
            break
    assert len([name for name in acknowledged if name]) >= KILLS * ACKNOWLEDGED
    assert missing == []
    assert first_fault(events) is None
    assert database.read(lambda uow: uow.audit.head()) == (events[-1].sequence, events[-1].hash)
    database.close()
