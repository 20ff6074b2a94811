# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks wait until an executor asks; a lost one goes back, and after a few attempts whoever asked is told.

What a task is for is known to the aggregate that asked: it registers, for its kind of request, what goes into a lease
and what becomes of the answer. Nothing that an executor says is stored before that aggregate has taken it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from animus_contracts.comparisons import ComparisonRequest
from animus_contracts.digests import Digest
from animus_contracts.identifiers import ProjectId, TaskId
from animus_contracts.tasks import (
    EndTask,
    LeaseTask,
    Task,
    TaskEnded,
    TaskFailed,
    TaskLease,
    TaskLeaseReply,
    TaskRequest,
    TaskResult,
    TaskState,
)
from animus_control.domain.errors import ConflictError, InvalidError, MissingError
from animus_control.services.calls import Call
from animus_control.services.objects import Content
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork

CHANNEL = "tasks"
BATCH = 100
NO_TASK = "There is no such task, or another executor has it."
GIVEN_UP = TaskFailed(reason="No executor finished it; every one that took it was lost.", is_final=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """How one kind of task is done.

    Attributes:
        answer: Type of the result that answers it.
        settle: Stores the answer, or that there is none, with whoever asked; called once.
        compared: Returns what is to be compared, without paths; None for a task that compares nothing.
        size: Returns the size of bytes that the task may read; None when it may not read them.
    """

    answer: type[Any]
    settle: Callable[[UnitOfWork, Call, Task, Any], None]
    compared: Callable[[UnitOfWork, Task], ComparisonRequest | None] = lambda _uow, _task: None
    size: Callable[[UnitOfWork, Task, Digest], int | None] = lambda _uow, _task, _digest: None


KINDS: dict[type[Any], Kind] = {}
"""By type of the request; each aggregate adds its own."""


def request_task(uow: UnitOfWork, call: Call, project_id: ProjectId, request: TaskRequest) -> Task:
    """Ask the data plane for something; the asking record is audited by its own service."""
    task = Task(task_id=TaskId(call.new_id()), project_id=project_id, request=request, created_at=call.now)
    uow.tasks.add(task)
    uow.notify(CHANNEL)
    return task


@operation("tasks.lease")
def lease_task(uow: UnitOfWork, call: Call, message: LeaseTask) -> TaskLeaseReply:  # noqa: ARG001 - the edge waits
    """Lease the task that waits longest, if there is one, after taking back what the executor held."""
    for held in uow.tasks.held_by(call.principal.name):
        _return(uow, call, held)
    waiting = uow.tasks.next_waiting()
    if waiting is None:
        return TaskLeaseReply(lease=None)
    task = msgspec.structs.replace(
        waiting,
        state=TaskState.LEASED,
        attempt=waiting.attempt + 1,
        executor=call.principal.name,
        lease_expires_at=call.now + call.limits.task_lease,
    )
    _save(uow, task, expected_attempt=waiting.attempt)
    lease = TaskLease(
        task_id=task.task_id,
        attempt=task.attempt,
        lease_seconds=call.limits.task_lease.total_seconds(),
        request=task.request,
        comparison=_kind(task).compared(uow, task),
    )
    return TaskLeaseReply(lease=lease)


@operation("tasks.end")
def end_task(uow: UnitOfWork, call: Call, message: EndTask) -> TaskEnded:
    """Take what came of a task, from who holds it."""
    task = _owned(uow, call)
    if task.state in {TaskState.DONE, TaskState.FAILED} and task.attempt == message.attempt:
        return TaskEnded(state=task.state)  # the answer to the first report was lost
    if task.state is not TaskState.LEASED or task.attempt != message.attempt:
        raise ConflictError("stale_epoch", f"The task is {task.state}, in attempt {task.attempt}.", remedy="Stop it.")
    if isinstance(message.result, TaskFailed):
        state = _fail(uow, call, task, message.result)
    elif isinstance(message.result, _kind(task).answer):
        state = _end(uow, call, task, TaskState.DONE, message.result)
    else:
        raise InvalidError("invalid_request", "The result is not an answer to what the task asks.")
    return TaskEnded(state=state)


@operation("tasks.object")
def object_for_fetch(uow: UnitOfWork, call: Call, message: None) -> Content:  # noqa: ARG001 - every operation has a message
    """Return the bytes that a task's executor asks for.

    Raises:
        MissingError: If the task does not read them, whether or not the project holds them.
    """
    task, digest = _owned(uow, call), Digest(call.path["digest"])
    size = _kind(task).size(uow, task, digest) if task.state is TaskState.LEASED else None
    if size is None:
        raise MissingError("not_found", "The task reads no bytes with this digest.")
    return Content(digest=digest, size_bytes=size, name=digest)


def return_lost_tasks(uow: UnitOfWork, call: Call) -> int:
    """Take back the tasks whose lease expired; call it every few seconds with the system's principal."""
    expired = uow.tasks.expired(call.now, limit=BATCH)
    for task in expired:
        _return(uow, call, task)
    return len(expired)


def _return(uow: UnitOfWork, call: Call, task: Task) -> None:
    _fail(uow, call, task, GIVEN_UP if task.attempt >= call.limits.task_attempts else TaskFailed(reason="lost"))


def _fail(uow: UnitOfWork, call: Call, task: Task, failed: TaskFailed) -> TaskState:
    if failed.is_final or task.attempt >= call.limits.task_attempts:
        return _end(uow, call, task, TaskState.FAILED, failed)
    waiting = msgspec.structs.replace(task, state=TaskState.WAITING, executor="", lease_expires_at=None)
    _save(uow, waiting, expected_attempt=task.attempt)
    uow.notify(CHANNEL)
    return TaskState.WAITING


def _end(uow: UnitOfWork, call: Call, task: Task, state: TaskState, result: TaskResult) -> TaskState:
    ended = msgspec.structs.replace(task, state=state, lease_expires_at=None)
    _save(uow, ended, expected_attempt=task.attempt)
    _kind(task).settle(uow, call, task, result)
    return state


def _save(uow: UnitOfWork, task: Task, *, expected_attempt: int) -> None:
    if not uow.tasks.save(task, expected_attempt=expected_attempt):
        raise ConflictError("stale_epoch", "The task changed at this very moment.", remedy="Stop it.")


def _kind(task: Task) -> Kind:
    return KINDS[type(task.request)]


def _owned(uow: UnitOfWork, call: Call) -> Task:
    task = uow.tasks.get(TaskId(call.path["task"]))
    if task is None or task.executor != call.principal.name:
        raise MissingError("not_found", NO_TASK)
    return task
