# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F1 below the API: a writer that is killed loses nothing it acknowledged, and leaves no change without its event."""

from __future__ import annotations

import multiprocessing
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from animus_contracts.audit import Action, AuditEvent, AuditRecord, first_fault
from animus_contracts.decoding import decode_json
from animus_control.failpoints import TRANSACTION_POINTS
from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import open_database
from tests.faults.acknowledging_writer import write_until_killed
from tests.faults.campaign import Campaign, sized
from tests.ports.records_of_a_project import PROJECT_ID, a_project, write

KILLS = sized(12, 1000)
PATIENCE = 20.0
# Each life is a fork of a process that has loaded everything: a thousand lives take minutes, not an hour.
SPAWN = multiprocessing.get_context("forkserver")
SPAWN.set_forkserver_preload(["tests.faults.acknowledging_writer"])


def one_life(url: str, first: int, failpoints: str, chance: random.Random) -> list[str]:
    """Let a writer live until it dies at a point or is killed, and return what it acknowledged."""
    ours, its = SPAWN.Pipe(duplex=False)
    process = SPAWN.Process(target=write_until_killed, args=(url, first, failpoints, its), daemon=True)
    process.start()
    its.close()
    acknowledged, wanted = [], chance.randint(1, 80)
    deadline = time.monotonic() + PATIENCE
    while (left := deadline - time.monotonic()) > 0 and len(acknowledged) < wanted:
        if ours.poll(left):
            acknowledged += told(ours)
        if process.exitcode is not None:
            break
    process.kill()
    process.join()
    while heard := told(ours):
        acknowledged += heard
    ours.close()
    return acknowledged


def told(ours: Any) -> list[str]:
    """Return the next name that arrived completely."""
    try:
        return [ours.recv()]
    except (EOFError, OSError):
        return []


def whole_log(database: StoredDatabase) -> list[AuditEvent]:
    events: list[AuditEvent] = []
    cursor = None
    while True:
        page = database.read(lambda uow, c=cursor: uow.audit.page(None, limit=10_000, cursor=c))
        events += page.items
        cursor = page.next_cursor
        if cursor is None:
            return events


def datasets(database: StoredDatabase) -> Iterator[str]:
    cursor = None
    while True:
        page = database.read(lambda uow, c=cursor: uow.datasets.page(PROJECT_ID, limit=10_000, cursor=c))
        yield from (dataset.name for dataset in page.items)
        cursor = page.next_cursor
        if cursor is None:
            return


def broken(database: StoredDatabase, acknowledged: list[str]) -> list[str]:
    """Compare what was acknowledged, what is there, and what the audit log says."""
    stored, events = Counter(datasets(database)), whole_log(database)
    records = [decode_json(event.record, AuditRecord) for event in events]
    created = [record.resource for record in records if record.action is Action.DATASET_CREATED]
    audited = Counter(resource.removeprefix("dataset:") for resource in created)
    fault = first_fault(events)
    found = [f"I4: {fault}"] if fault else []
    if database.read(lambda uow: uow.audit.head()) != (events[-1].sequence, events[-1].hash):
        found.append("I4: the head is not the end of the log")
    found += [f"I1: {name} was acknowledged and is gone" for name in acknowledged if not stored[name]]
    found += [f"I2: {name} was acknowledged twice" for name, count in Counter(acknowledged).items() if count > 1]
    return found + [
        f"I3: {name} has {audited[name]} events" for name in stored | audited if audited[name] != stored[name]
    ]


@pytest.mark.faults
@pytest.mark.timeout(sized(120, 3600))
def test_a_killed_writer_loses_nothing_and_leaves_no_change_without_its_event(
    database_url: str, campaign: Callable[[str], Campaign]
) -> None:
    f1 = campaign(f"F1 writer killed, {database_url.partition(':')[0]}")
    chance = f1.chance()
    database = open_database(database_url)
    write(database, lambda uow: uow.projects.add(a_project()))
    database.close()
    acknowledged: list[str] = []
    for kill in range(KILLS):
        point = chance.choice(["", *TRANSACTION_POINTS])
        rule = f"{point}=crash@{chance.randint(1, 40)}" if point else ""
        acknowledged += one_life(database_url, 10_000 * (kill + 1), rule, chance)
        f1.faults[point or "killed at random"] += 1
    database = open_database(database_url)
    found = broken(database, acknowledged)
    database.close()
    f1.runs = len(acknowledged)
    f1.finish(found)
    assert len(acknowledged) > KILLS
