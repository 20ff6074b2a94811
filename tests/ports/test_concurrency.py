# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Of many that want the same thing exactly one gets it, within a process and between two."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from animus_contracts.audit import first_fault
from animus_contracts.executions import ExecutionState
from animus_contracts.runs import RunState
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import open_database
from tests.ports.records_of_a_project import (
    PROJECT_ID,
    WAIT_SECONDS,
    a_dataset,
    a_run,
    add_runs,
    add_surroundings,
    an_execution,
    audit_record,
    changed,
    write,
)

THREADS = 8
ROUNDS = 20


def race(*databases: StoredDatabase) -> int:
    """Let eight threads move one run and return how many believe that they did."""
    start = threading.Barrier(THREADS)
    new = changed(a_run(), state=RunState.DISPATCHING, version=2)

    def move(number: int) -> bool:
        start.wait(WAIT_SECONDS)
        database = databases[number % len(databases)]
        return write(database, lambda uow: uow.runs.compare_and_set(new, expected_version=1))

    with ThreadPoolExecutor(THREADS) as pool:
        return sum(pool.map(move, range(THREADS)))


def test_of_eight_threads_exactly_one_moves_the_run(database: StoredDatabase) -> None:
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, a_run()))
    assert race(database) == 1


def test_of_two_processes_worth_of_writers_exactly_one_moves_the_run(database_url: str) -> None:
    databases = open_database(database_url), open_database(database_url)
    write(databases[0], add_surroundings)
    write(databases[0], lambda uow: add_runs(uow, a_run()))
    try:
        assert race(*databases) == 1
    finally:
        for database in databases:
            database.close()


def test_of_eight_threads_exactly_one_ends_the_attempt(database: StoredDatabase) -> None:
    execution = an_execution(a_run())
    ended = changed(execution, state=ExecutionState.ENDED)
    write(database, add_surroundings)
    write(database, lambda uow: (add_runs(uow, a_run()), uow.executions.add(execution)))
    with ThreadPoolExecutor(THREADS) as pool:
        saved = list(
            pool.map(
                lambda _: database.write(lambda uow: uow.executions.save(ended, expected_epoch=1)).result(WAIT_SECONDS),
                range(THREADS),
            )
        )
    assert sum(saved) == 1


def test_two_writers_make_one_chain_without_gaps(database_url: str) -> None:
    databases = open_database(database_url), open_database(database_url)
    try:
        futures = [
            database.write(lambda uow, n=number: uow.audit.append(audit_record(f"run:{n}")))
            for number in range(ROUNDS)
            for database in databases
        ]
        for future in futures:
            future.result(WAIT_SECONDS)
        events = databases[0].read(lambda uow: uow.audit.page(None, limit=200, cursor=None)).items
        assert [event.sequence for event in events] == list(range(1, 2 * ROUNDS + 1))
        assert first_fault(events) is None
        assert databases[1].read(lambda uow: uow.audit.head()) == (events[-1].sequence, events[-1].hash)
    finally:
        for database in databases:
            database.close()


def test_of_two_writers_exactly_one_takes_a_name(database_url: str) -> None:
    databases = open_database(database_url), open_database(database_url)
    try:
        write(databases[0], add_surroundings)

        def add(number: int) -> bool:
            try:
                write(databases[number % 2], lambda uow: uow.datasets.add(a_dataset(500 + number, "contested")))
            except AlreadyExistsError:
                return False
            return True

        with ThreadPoolExecutor(THREADS) as pool:
            assert sum(pool.map(add, range(THREADS))) == 1
        assert databases[0].read(lambda uow: uow.datasets.find(PROJECT_ID, name="contested")) is not None
    finally:
        for database in databases:
            database.close()


def test_what_another_process_wrote_is_seen_by_the_next_piece_of_work(database_url: str) -> None:
    ours, other = open_database(database_url), open_database(database_url)
    new = changed(a_run(), state=RunState.DISPATCHING, version=2)
    try:
        write(ours, add_surroundings)
        write(ours, lambda uow: add_runs(uow, a_run()))
        seen = [write(ours, lambda uow: uow.runs.get(PROJECT_ID, new.run_id)) for _ in range(2)]
        write(other, lambda uow: uow.runs.compare_and_set(new, expected_version=1))
        seen.append(write(ours, lambda uow: uow.runs.get(PROJECT_ID, new.run_id)))
        assert [run and run.version for run in seen] == [1, 1, 2]
    finally:
        for database in (ours, other):
            database.close()


def test_notification_reaches_another_process_of_the_same_postgresql(postgres_url: str) -> None:
    databases = open_database(postgres_url), open_database(postgres_url)
    heard: list[tuple[int, str]] = []
    arrived = threading.Event()

    def listen(number: int, channel: str) -> None:
        heard.append((number, channel))
        if number == 1:
            arrived.set()

    for number, database in enumerate(databases):
        database.subscribe(lambda channel, n=number: listen(n, channel))
    try:
        for _ in range(50):  # the line to the other process stands a moment after it was opened
            databases[0].write(lambda uow: uow.notify("queue")).result(WAIT_SECONDS)
            if arrived.wait(0.1):
                break
        assert (1, "queue") in heard
        heard.clear()
        databases[0].write(lambda uow: uow.notify("run:1")).result(WAIT_SECONDS)
        databases[0].write(lambda uow: uow.notify("run:2")).result(WAIT_SECONDS)
        deadline = threading.Event()
        for _ in range(50):
            if (1, "run:2") in heard:
                break
            deadline.wait(0.1)
        assert sorted(each for each in heard if each[1] != "queue") == [
            (0, "run:1"), (0, "run:2"), (1, "run:1"), (1, "run:2"),
        ]  # fmt: skip
    finally:
        for database in databases:
            database.close()
