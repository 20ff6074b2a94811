# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A task changes by who holds its newest attempt, and not at all once it is over."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, or_, update

from animus_contracts.identifiers import TaskId
from animus_contracts.tasks import Task
from animus_control.storage.check_tables import LEASED, WAITING, tasks
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout
from animus_control.storage.session import Session

CHANGING = ("state", "attempt", "executor", "lease_expires_at")
LAYOUT = Layout[Task](tasks, changing=CHANGING)
_GET = Prepared(LAYOUT.select().where(tasks.c.task_id == bindparam("id")))
_NEXT = Prepared(LAYOUT.select().where(WAITING).order_by(tasks.c.task_id).limit(1))
_HELD = Prepared(LAYOUT.select().where(LEASED, tasks.c.executor == bindparam("executor")))
_EXPIRED = Prepared(
    LAYOUT.select()
    .where(LEASED, tasks.c.lease_expires_at < bindparam("now"))
    .order_by(tasks.c.lease_expires_at)
    .limit(bindparam("count"))
)
_SAVE = Prepared(
    update(tasks)
    .where(
        tasks.c.task_id == bindparam("id"),
        tasks.c.attempt == bindparam("expected_attempt"),
        or_(WAITING, LEASED),
    )
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
)


class TaskTable:
    """Tasks of the data plane."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, task: Task) -> None:
        """Store a new task."""
        self._session.change(LAYOUT.insert, LAYOUT.row(task))

    def get(self, task_id: TaskId) -> Task | None:
        """Return the task."""
        row = self._session.first(_GET, {"id": task_id})
        return None if row is None else LAYOUT.read(row)

    def next_waiting(self) -> Task | None:
        """Return the task that waits longest."""
        row = self._session.first(_NEXT, {})
        return None if row is None else LAYOUT.read(row)

    def held_by(self, executor: str) -> list[Task]:
        """Return the tasks that an executor has leased."""
        return [LAYOUT.read(row) for row in self._session.all(_HELD, {"executor": executor})]

    def expired(self, now: datetime, *, limit: int) -> list[Task]:
        """Return leased tasks whose lease ended before ``now``, the longest overdue first."""
        return [LAYOUT.read(row) for row in self._session.all(_EXPIRED, {"now": now, "count": limit})]

    def save(self, task: Task, *, expected_attempt: int) -> bool:
        """Replace the mutable part if the stored attempt is the expected one and the task is not over."""
        key = {"id": task.task_id, "expected_attempt": expected_attempt}
        return self._session.change(_SAVE, LAYOUT.changes(task) | key) == 1
