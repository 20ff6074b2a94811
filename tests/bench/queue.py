# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""P10: what giving an executor the next run costs with ten thousand runs in the queue, over the same with a hundred.

Measured is the whole unit of work of a dispatch up to its commit (the choice, the attempt, its token, the run's move,
the audit record), which is then rolled back, so that the queue stays as long as it is. In one queue every run fits; in
the other the first of every project and shape do not, and what fits is the last of all.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from animus_contracts.audit import Action, AuditRecord, Outcome
from animus_contracts.environments import Resources
from animus_contracts.executions import LeaseRequest
from animus_contracts.identifiers import RANDOM_BYTES, ProjectId, uuid7
from animus_contracts.runs import Run
from animus_control.domain.identity import Principal, PrincipalKind
from animus_control.services.calls import Call
from animus_control.services.catalogue import OPERATIONS
from animus_control.services.ports import UnitOfWork
from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import open_database
from tests.bench.measure import Result, Side, interleave
from tests.ports import records_of_a_project as records
from tests.postgres_server import find_binaries, running

SHORT, LONG = 100, 10_000
PROJECTS = 4
SHAPES = 5
BATCH = 500
DISPATCHES = 40
GOAL = 1.2
WAIT_SECONDS = 120
EXECUTOR = Principal(name="local", kind=PrincipalKind.EXECUTOR)


class _UndoneError(Exception):
    """A dispatch was measured and is not to be."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


def dispatch_figures(folder: Path, rounds: int) -> list[Result]:
    """Measure on SQLite, and on PostgreSQL where there is one, with heads that fit and with heads that do not."""
    results = []
    with ExitStack() as stack:
        addresses = {"SQLite": lambda name: f"sqlite:///{folder / name}.db"}
        binaries = find_binaries()
        if binaries is not None:
            addresses["PostgreSQL"] = stack.enter_context(running(binaries)).create
        for engine, address in addresses.items():
            for told, fitting in (("", True), (", heads that do not fit", False)):
                name = f"{'fit' if fitting else 'unfit'}_{len(results)}"
                results.append(_figure(f"P10 dispatch, {engine}{told}", address, name, rounds, fitting=fitting))
    return results


def _figure(name: str, address: Any, database: str, rounds: int, *, fitting: bool) -> Result:
    with ExitStack() as stack:
        sides = []
        for length in (LONG, SHORT):
            filled = stack.enter_context(_filled(address(f"{database}_{length}"), length, fitting=fitting))
            sides.append(Side(f"{length} queued", lambda filled=filled: _dispatch(filled)))  # type: ignore[misc]  # bound now
        interleave(sides, rounds=rounds)
    ours, peer = sides
    ratio = ours.median / peer.median
    return Result(
        name=name, ours=_shown(ours), peer=_shown(peer), ratio=ratio, goal=f"≤ {GOAL}", met=ratio <= GOAL
    )  # fmt: skip


def _shown(side: Side) -> str:
    low, high = min(side.seconds), max(side.seconds)
    return f"{side.name}: {side.median * 1e3:.2f} ms ({low * 1e3:.2f}…{high * 1e3:.2f})"


def _dispatch(database: StoredDatabase) -> float:
    """Dispatch some times over and return the median seconds of one."""
    seconds = sorted(_once(database) for _ in range(DISPATCHES))
    return seconds[DISPATCHES // 2]


def _once(database: StoredDatabase) -> float:
    now, numbers = datetime.now(UTC), count()
    call = Call(
        principal=EXECUTOR,
        now=now,
        request_id="bench",
        new_id=lambda: uuid7(now, next(numbers).to_bytes(RANDOM_BYTES, "big")),
        new_secret=lambda: os.urandom(32).hex(),
    )

    def work(uow: UnitOfWork) -> None:
        begin = time.perf_counter()
        reply = OPERATIONS["executions.lease"](uow, call, LeaseRequest())
        seconds = time.perf_counter() - begin
        if reply.lease is None:
            raise RuntimeError("nothing was dispatched")
        raise _UndoneError(seconds)

    error = database.write(work).exception(WAIT_SECONDS)
    if isinstance(error, _UndoneError):
        return error.seconds
    raise RuntimeError("a dispatch went wrong") from error


@contextmanager
def _filled(url: str, length: int, *, fitting: bool) -> Iterator[StoredDatabase]:
    database = open_database(url)
    try:
        projects = [ProjectId(records.identifier(number)) for number in range(1, PROJECTS + 1)]
        for number, project_id in enumerate(projects):
            _write(database, [], project_id, f"project-{number}")
        runs = list(_queue(projects, length, fitting=fitting))
        for start in range(0, length, BATCH):
            _write(database, runs[start : start + BATCH])
        yield database
    finally:
        database.close()


def _queue(projects: Sequence[ProjectId], length: int, *, fitting: bool) -> Iterator[Run]:
    for number in range(length):
        is_last = number == length - 1
        yield records.a_run(
            1000 + number,
            project_id=projects[number % PROJECTS],
            datasets=[],
            queued_at=records.NOW + timedelta(milliseconds=number),
            resources=Resources(memory_mib=1024 + number % SHAPES),
            executor_labels={} if fitting or is_last else {"gpu": "nobody-has-it"},
        )


def _write(database: StoredDatabase, runs: Sequence[Run], project_id: ProjectId | None = None, name: str = "") -> None:
    def work(uow: UnitOfWork) -> None:
        uow.audit.append(
            AuditRecord(
                occurred_at=records.NOW, project_id=None, actor="system:bench", action=Action.RUN_CREATED,
                resource="bench", outcome=Outcome.SUCCESS, request_id="bench", details={},
            )
        )  # fmt: skip
        if project_id is not None:
            _surround(uow, project_id, name)
        for run in runs:
            uow.runs.add_with_plan(run, msgspec.structs.replace(records.a_plan(run), inputs=[]))

    database.write(work).result(WAIT_SECONDS)


def _surround(uow: UnitOfWork, project_id: ProjectId, name: str) -> None:
    """Store a project with what its runs refer to."""
    uow.projects.add(records.a_project(project_id, name))
    uow.environments.add(records.changed(records.an_environment(), project_id=project_id))
    uow.environment_locks.add(records.changed(records.a_lock(), project_id=project_id))
    uow.policy_snapshots.add(records.changed(records.a_snapshot(), project_id=project_id))
    uow.policy_decisions.add(records.changed(records.a_decision(), project_id=project_id))
