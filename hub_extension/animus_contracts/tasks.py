# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Work for the data plane that needs bytes or repositories and no user code; an executor pulls it as it pulls runs.

An executor does one task at a time: asking for the next one gives back what it held. An answer counts only from who
holds the task, under the attempt it was leased with.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.comparisons import CompareRuns, ComparisonRequest, OutputComparison
from animus_contracts.identifiers import ProjectId, TaskId
from animus_contracts.inspections import InspectNotebook, NotebookFindings

TaskRequest = InspectNotebook | CompareRuns
"""What can be asked of the data plane."""


class TaskState(StrEnum):
    """Where a task is. Values leave the process and never change."""

    WAITING = "waiting"
    LEASED = "leased"
    DONE = "done"
    FAILED = "failed"


class Task(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A piece of work for the data plane; ``attempt`` counts its leases."""

    task_id: TaskId
    project_id: ProjectId
    request: TaskRequest
    created_at: datetime
    state: TaskState = TaskState.WAITING
    attempt: int = 0
    executor: str = ""
    lease_expires_at: datetime | None = None


class LeaseTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask for one task; ``wait_seconds`` is how long to wait for one, at most 30."""

    wait_seconds: float = 20.0


class TaskLease(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The right to do a task, until ``lease_seconds`` after it was asked for.

    Attributes:
        comparison: What to compare, without paths, exactly when the request is to compare; the bytes are fetched by
            digest.
    """

    task_id: TaskId
    attempt: int
    lease_seconds: float
    request: TaskRequest
    comparison: ComparisonRequest | None = None


class TaskLeaseReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A lease, or None when nothing was to be done in time."""

    lease: TaskLease | None


class TaskFailed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag="task_failed"):
    """The task could not be done; when ``is_final`` nobody shall try it again."""

    reason: str
    is_final: bool = False


TaskResult = NotebookFindings | OutputComparison | TaskFailed


class EndTask(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What came of a task, in the attempt it was leased for."""

    attempt: int
    result: TaskResult


class TaskEnded(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The task's state after the report; a repeated report is answered the same."""

    state: TaskState
