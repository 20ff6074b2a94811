# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The queue as both databases keep it: its heads are those of a plain sort, whatever was stored in whatever order."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import Any

import pytest

from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity, ExecutionState
from animus_contracts.executors import Executor
from animus_contracts.identifiers import ProjectId
from animus_contracts.runs import Run, RunState
from animus_control.domain.queue import Head, shape_of
from animus_control.domain.quotas import Spent, Standing, day_of
from animus_control.services.ports import UnitOfWork
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import (
    NOW,
    OTHER_ID,
    PROJECT_ID,
    WAIT_SECONDS,
    a_decision,
    a_lock,
    a_plan,
    a_project,
    a_quota,
    a_run,
    a_snapshot,
    add_surroundings,
    an_environment,
    an_execution,
    changed,
    write,
)

LINUX, WINDOWS = "linux_x86_64", "win_amd64"
MINUTE = timedelta(minutes=1)
HOUR_MS = 3_600_000
MIDNIGHT = NOW.replace(hour=0, minute=0, second=0, microsecond=0)


def add_other(uow: UnitOfWork) -> None:
    """Store the other project with what a run refers to."""
    uow.projects.add(a_project(OTHER_ID, "beta"))
    uow.environments.add(changed(an_environment(), project_id=OTHER_ID))
    uow.environment_locks.add(changed(a_lock(), project_id=OTHER_ID))
    uow.policy_snapshots.add(changed(a_snapshot(), project_id=OTHER_ID))
    uow.policy_decisions.add(changed(a_decision(), project_id=OTHER_ID))


@pytest.fixture
def filled(database: StoredDatabase) -> StoredDatabase:
    write(database, lambda uow: (add_surroundings(uow), add_other(uow)))
    return database


def add(database: StoredDatabase, *runs: Run, platform: str = LINUX) -> None:
    def store(uow: UnitOfWork) -> None:
        for run in runs:
            uow.runs.add_with_plan(run, changed(a_plan(run, platform=platform), inputs=[]))

    write(database, store)


def waiting(number: int, **more: Any) -> Run:
    return a_run(number, datasets=[], **more)


def head_of(run: Run) -> Head:
    assert run.queued_at is not None
    return Head(
        project_id=run.project_id, run_id=run.run_id, shape=shape_of(run), priority=run.priority,
        queued_at=run.queued_at,
    )  # fmt: skip


def heads(database: StoredDatabase, platform: str = LINUX) -> list[Head]:
    return sorted(database.read(lambda uow: uow.queue.heads(platform)), key=lambda head: head.run_id)


def standing(database: StoredDatabase, project_id: ProjectId = PROJECT_ID) -> Standing:
    return database.read(lambda uow: uow.quotas.standing(project_id, NOW))


def test_an_empty_queue_has_no_heads(filled: StoredDatabase) -> None:
    assert heads(filled) == []
    assert filled.read(lambda uow: uow.quotas.standings(LINUX, NOW)) == {}


@pytest.mark.parametrize("seed", range(3))
def test_heads_are_those_of_a_plain_sort(filled: StoredDatabase, seed: int) -> None:
    chance = Random(seed)
    runs = [
        waiting(
            number,
            project_id=chance.choice([PROJECT_ID, OTHER_ID]),
            priority=chance.choice([-100, 0, 0, 100]),
            queued_at=NOW + timedelta(microseconds=chance.randrange(3)),
            resources=Resources(cpus=chance.choice([0.5, 1])),
            executor_labels=chance.choice([{}, {"gpu": "a100"}, {"gpu": "a100", "zone": "eu"}]),
            state=chance.choice([RunState.QUEUED, RunState.QUEUED, RunState.RUNNING, RunState.SUCCEEDED]),
        )
        for number in chance.sample(range(100, 900), 60)
    ]
    add(filled, *runs)
    add(filled, waiting(50, priority=100), platform=WINDOWS)

    queued = [head_of(run) for run in runs if run.state is RunState.QUEUED]
    lanes = {(head.project_id, head.shape) for head in queued}
    firsts = [min((it for it in queued if (it.project_id, it.shape) == lane), key=lambda it: it.rank) for lane in lanes]
    assert heads(filled) == sorted(firsts, key=lambda head: head.run_id)
    assert set(filled.read(lambda uow: uow.quotas.standings(LINUX, NOW))) == {head.project_id for head in queued}


def test_a_run_that_is_held_back_is_let_in_once_its_time_has_come(filled: StoredDatabase) -> None:
    held, ready = waiting(1, not_before=NOW + MINUTE, queued_at=NOW), waiting(2)
    add(filled, held, ready)
    add(filled, waiting(3, not_before=NOW + MINUTE), platform=WINDOWS)

    def release(seconds: int) -> list[str]:
        work = filled.write(lambda uow: uow.queue.release(NOW + timedelta(seconds=seconds)))
        return sorted(work.result(WAIT_SECONDS))

    assert heads(filled) == [head_of(ready)]
    assert (release(59), heads(filled)) == ([], [head_of(ready)])
    assert (release(60), heads(filled)) == ([LINUX, WINDOWS], [head_of(held)])
    assert release(60) == []


def test_the_place_of_a_run_counts_its_own_project_and_platform(filled: StoredDatabase) -> None:
    first, tie = waiting(2, queued_at=NOW), waiting(3, queued_at=NOW)
    late, urgent = waiting(1, queued_at=NOW + MINUTE), waiting(4, priority=1, queued_at=NOW + MINUTE)
    held, gone = waiting(5, not_before=NOW + MINUTE, queued_at=NOW), waiting(6, state=RunState.RUNNING)
    add(filled, first, tie, late, urgent, held, gone, waiting(7, project_id=OTHER_ID, priority=9))
    add(filled, waiting(8, priority=9), platform=WINDOWS)

    def ahead(run: Run) -> int:
        return filled.read(lambda uow: uow.queue.ahead(run, LINUX))

    assert [ahead(run) for run in (urgent, first, tie, late)] == [0, 1, 2, 3]
    assert filled.read(lambda uow: dict(uow.queue.lengths(LINUX))) == {PROJECT_ID: 4, OTHER_ID: 1}
    assert filled.read(lambda uow: (uow.queue.running(LINUX), uow.queue.running(WINDOWS))) == (1, 0)
    assert filled.read(lambda uow: uow.queue.platform(late)) == LINUX


def test_what_is_over_its_time_is_found_the_longest_overdue_first(filled: StoredDatabase) -> None:
    brief, slow = (waiting(n, queued_at=NOW, queue_seconds=seconds) for n, seconds in ((1, 5), (2, 50)))
    short, long = (
        waiting(n, state=RunState.RUNNING, started_at=NOW, resources=Resources(wall_seconds=seconds))
        for n, seconds in ((3, 5), (4, 50))
    )
    ended = waiting(5, state=RunState.FAILED, started_at=NOW, resources=Resources(wall_seconds=1))
    add(filled, slow, brief, long, short, ended, waiting(6))

    def found(seconds: int, limit: int = 9) -> tuple[list[Run], list[Run]]:
        now = NOW + timedelta(seconds=seconds)
        return filled.read(lambda uow: (uow.queue.impatient(now, limit=limit), uow.queue.overdue(now, limit=limit)))

    assert found(4) == ([], [])
    assert found(5) == ([brief], [short])
    assert found(50) == ([brief, slow], [short, long])
    assert found(50, limit=1) == ([brief], [short])


def test_a_run_that_moved_is_due_at_another_time(filled: StoredDatabase) -> None:
    queued = waiting(1, queued_at=NOW, queue_seconds=5, resources=Resources(wall_seconds=50))
    running = changed(queued, state=RunState.RUNNING, started_at=NOW, version=2)
    ended = changed(running, state=RunState.SUCCEEDED, version=3)
    add(filled, queued)

    def due(run: Run) -> list[int]:
        write(filled, lambda uow: uow.runs.compare_and_set(run, expected_version=run.version - 1))
        at = NOW + timedelta(seconds=50)
        return filled.read(lambda uow: [len(uow.queue.impatient(at, limit=9)), len(uow.queue.overdue(at, limit=9))])

    assert [due(running), due(ended)] == [[0, 1], [0, 0]]


def test_a_standing_adds_what_was_used_to_what_is_in_use(filled: StoredDatabase) -> None:
    hour = MIDNIGHT + timedelta(hours=2)
    now = MIDNIGHT + timedelta(hours=3)
    half = Resources(cpus=0.5, memory_mib=1024, gpus=1)
    add(
        filled,
        waiting(1, state=RunState.RUNNING, started_at=hour, resources=half),
        waiting(2, state=RunState.UNKNOWN, started_at=MIDNIGHT - timedelta(days=9), resources=half),
        waiting(3, state=RunState.DISPATCHING, resources=half),
        waiting(4, state=RunState.SUCCEEDED, started_at=hour, finished_at=now, resources=half),
        waiting(5, project_id=OTHER_ID, state=RunState.RUNNING, started_at=hour),
        waiting(6),
    )
    today = day_of(now)

    def spend(uow: UnitOfWork) -> None:
        for day, times in ((today, 1), (today, 1), (today - 1, 5), (today - 2, 70)):
            uow.quotas.spend(PROJECT_ID, day, Spent(cpu=times, memory=10 * times, gpu=100 * times))

    filled.write(spend).result(WAIT_SECONDS)
    write(filled, lambda uow: (uow.quotas.add(a_quota(1, period_days=9)), uow.quotas.add(a_quota(2, weight=2.0))))

    found = filled.read(lambda uow: uow.quotas.standing(PROJECT_ID, now))

    # One hour of the first run, and of the second one what lies within the two days of the period.
    hours = 1 + 24 + 3
    assert found == Standing(
        quota=a_quota(2, weight=2.0),
        running=3,
        cpus_milli=1500,
        spent=Spent(cpu=hours * 500 * HOUR_MS + 7, memory=hours * 1024 * HOUR_MS + 70, gpu=hours * HOUR_MS + 700),
    )
    assert filled.read(lambda uow: uow.quotas.standings(LINUX, now)) == {PROJECT_ID: found}


def test_a_project_without_quota_stands_without_bounds(filled: StoredDatabase) -> None:
    assert standing(filled) == Standing()
    assert filled.read(lambda uow: uow.quotas.find(PROJECT_ID)) is None


def an_executor(name: str, seconds: int = 0, **more: Any) -> Executor:
    at = NOW + timedelta(seconds=seconds)
    values: dict[str, Any] = {
        "name": name, "platform": LINUX, "labels": {"zone": "eu"}, "capacity": Capacity(cpus=2, memory_mib=1),
        "largest": None, "limitations": [], "registered_at": NOW, "last_seen_at": at,
    }  # fmt: skip
    return Executor(**values | more)


def test_executors_are_kept_as_they_last_were(database: StoredDatabase) -> None:
    one, two = an_executor("one"), an_executor("two", 5)
    write(database, lambda uow: [uow.executors.put(it, known=False, audited=True) for it in (two, one)])
    again = an_executor("one", 7, capacity=None)
    database.write(lambda uow: uow.executors.put(again, known=True, audited=False)).result(WAIT_SECONDS)
    database.write(lambda uow: uow.executors.touch("two", NOW + MINUTE)).result(WAIT_SECONDS)
    touched = changed(two, last_seen_at=NOW + MINUTE)

    assert database.read(lambda uow: [uow.executors.get(name) for name in ("one", "two", "none")]) == [
        again, touched, None,
    ]  # fmt: skip
    assert database.read(lambda uow: uow.executors.seen_since(NOW + timedelta(seconds=8))) == [touched]
    page = database.read(lambda uow: uow.executors.page(limit=1, cursor=None))
    rest = database.read(lambda uow: uow.executors.page(limit=1, cursor=page.next_cursor))
    assert (page.items, rest.items, rest.next_cursor) == ([again], [touched], None)


def test_only_live_attempts_of_the_executor_are_to_be_stopped(filled: StoredDatabase) -> None:
    runs = [waiting(number, state=RunState.RUNNING) for number in range(4)]
    live, foreign, over, quiet = (an_execution(run, 200 + number) for number, run in enumerate(runs))
    foreign = changed(foreign, executor="remote")
    asked = [changed(it, cancel_requested=True) for it in (live, foreign)]
    add(filled, *runs)
    write(filled, lambda uow: [uow.executions.add(it) for it in (live, foreign, over, quiet)])

    def ask(uow: UnitOfWork) -> None:
        for execution in [*asked, changed(over, cancel_requested=True, state=ExecutionState.ENDED)]:
            uow.executions.save(execution, expected_epoch=1)

    filled.write(ask).result(WAIT_SECONDS)

    assert filled.read(lambda uow: uow.executions.canceling("local")) == [live.execution_id]
