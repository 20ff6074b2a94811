# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What runs and pipeline runs, their attempts and their reports are kept in and found by; see :mod:`.repositories`.

What an executor and a run token reach is found by its own id, since neither of them knows a project.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from animus_contracts.artifacts import Metric
from animus_contracts.executions import Execution, Provenance
from animus_contracts.executors import Executor
from animus_contracts.identifiers import ExecutionId, PipelineRunId, ProjectId, RunId, TaskId
from animus_contracts.pages import Page
from animus_contracts.pipeline_runs import BoundPipeline, NodeRun, PipelineRun
from animus_contracts.plans import Plan
from animus_contracts.run_events import RunEvent
from animus_contracts.runs import Progress, Run, RunState
from animus_contracts.tasks import Task
from animus_control.domain.queue import Head
from animus_control.domain.repeats import HeldRetry
from animus_control.services.repositories import Readable


class Runs(Readable[Run], Protocol):
    """Runs, with their plans. ``page`` filters by ``state`` and ``created_by``."""

    def add_with_plan(self, run: Run, plan: Plan) -> None: ...
    def plan(self, project_id: ProjectId, run_id: RunId) -> Plan: ...
    def compare_and_set(self, run: Run, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one and the stored state is not terminal."""

    def set_progress(self, project_id: ProjectId, run_id: RunId, progress: Progress) -> None:
        """Store how far a run is, unaudited and without a new version: progress is no decision and comes per cell."""

    def count_by_state(self) -> Mapping[RunState, int]: ...


class HeldRetries(Protocol):
    """Retries that wait for the Hub; a run has at most one."""

    def add(self, held: HeldRetry) -> None: ...
    def get(self, project_id: ProjectId, run_id: RunId) -> HeldRetry | None:
        """Return the retry of a run, if it is held."""

    def due(self, *, known_since: datetime, before: datetime, limit: int) -> list[HeldRetry]:
        """Return retries that wait no longer, the oldest first.

        Their owner's groups are known since ``known_since``, or they are held since before ``before``.
        """

    def remove(self, project_id: ProjectId, run_id: RunId) -> None: ...


class Pipelines(Readable[PipelineRun], Protocol):
    """Pipeline runs, with their plans and the runs of their nodes. ``page`` filters by ``name`` and ``state``."""

    def add(self, run: PipelineRun, plan: BoundPipeline, nodes: Sequence[NodeRun]) -> None: ...
    def plan(self, project_id: ProjectId, pipeline_run_id: PipelineRunId) -> BoundPipeline: ...
    def compare_and_set(self, run: PipelineRun, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one and the stored state is no end."""

    def nodes(self, project_id: ProjectId, pipeline_run_id: PipelineRunId, *, after: int = 0) -> list[NodeRun]:
        """Return the runs of nodes that changed after a version, in the order of the plan."""

    def page_of_nodes(
        self, project_id: ProjectId, pipeline_run_id: PipelineRunId, *, limit: int, cursor: str | None, node: str | None
    ) -> Page[NodeRun]: ...
    def save_nodes(self, nodes: Sequence[NodeRun]) -> None:
        """Replace the mutable part of runs of nodes; the version of the whole changes with them."""

    def stalled(self, *, known_since: datetime, limit: int) -> list[PipelineRun]:
        """Return pipeline runs of all projects that are in progress although nothing in them is.

        One with a node that is held comes back, whatever else goes on in it, once its owner's groups are known since
        ``known_since``, and not before.
        """


class Queue(Protocol):
    """Runs in the order in which they go to executors, and those whose time is over."""

    def heads(self, platform: str) -> list[Head]:
        """Return the first run of each project and shape that is ready on a platform; flat in the queue's length."""

    def platform(self, run: Run) -> str: ...
    def ahead(self, run: Run, platform: str) -> int:
        """Return how many runs of its project go before a queued one."""

    def lengths(self, platform: str) -> Mapping[ProjectId, int]: ...
    def running(self, platform: str) -> int: ...
    def release(self, now: datetime) -> Sequence[str]:
        """Let the runs whose backoff is over into the queue, unaudited; return their platforms."""

    def impatient(self, now: datetime, *, limit: int) -> list[Run]:
        """Return queued runs that may wait no longer."""

    def overdue(self, now: datetime, *, limit: int) -> list[Run]:
        """Return runs that executors hold and whose wall time is over."""


class Executors(Protocol):
    """The executors that ever asked for work."""

    def get(self, name: str) -> Executor | None: ...
    def put(self, executor: Executor, *, known: bool, audited: bool) -> None:
        """Store what an executor says of itself; unaudited only when its capabilities are what they were."""

    def touch(self, name: str, now: datetime) -> None:
        """Note that an executor was heard of, unaudited."""

    def seen_since(self, moment: datetime) -> list[Executor]: ...
    def page(self, *, limit: int, cursor: str | None) -> Page[Executor]:
        """Return a page, ordered by name."""


class Executions(Protocol):
    """Attempts at runs."""

    def add(self, execution: Execution) -> None: ...
    def get(self, execution_id: ExecutionId) -> Execution | None: ...
    def of_run(self, run_id: RunId) -> list[Execution]: ...
    def save(self, execution: Execution, *, expected_epoch: int) -> bool:
        """Replace the mutable part if the stored epoch is the expected one and the attempt is neither ended nor lost.

        Unaudited in itself, since leases are renewed every few seconds; the run's own change of state is audited.
        """

    def canceling(self, executor: str) -> list[ExecutionId]:
        """Return the live attempts of an executor that are to be stopped."""

    def expired(self, now: datetime, *, limit: int) -> list[Execution]:
        """Return live attempts whose lease ended before ``now``."""

    def set_provenance(self, execution_id: ExecutionId, provenance: Provenance) -> None: ...
    def provenance(self, execution_id: ExecutionId) -> Provenance | None: ...
    def end_event(self, execution_id: ExecutionId) -> str | None:
        """Return the event id with which the attempt ended."""

    def set_end_event(self, execution_id: ExecutionId, event_id: str) -> None: ...


class Tasks(Protocol):
    """Tasks of the data plane."""

    def add(self, task: Task) -> None: ...
    def get(self, task_id: TaskId) -> Task | None: ...
    def next_waiting(self) -> Task | None:
        """Return the task that waits longest."""

    def held_by(self, executor: str) -> list[Task]: ...
    def expired(self, now: datetime, *, limit: int) -> list[Task]: ...
    def save(self, task: Task, *, expected_attempt: int) -> bool:
        """Replace the mutable part if the stored attempt is the expected one and the task is not over.

        Unaudited in itself: whoever asked is told of the answer, and that is audited.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredToken:
    """A token's claims; the token itself is never stored, only its SHA-256."""

    token_hash: str
    kind: str  # "dispatch" or "run"
    execution_id: ExecutionId
    run_id: RunId
    project_id: ProjectId
    epoch: int
    expires_at: datetime


class Tokens(Protocol):
    """Dispatch and run tokens."""

    def add(self, token: StoredToken) -> None: ...
    def find(self, token_hash: str) -> StoredToken | None: ...
    def extend(self, execution_id: ExecutionId, *, expires_at: datetime) -> None: ...
    def revoke(self, execution_id: ExecutionId, *, kind: str | None = None) -> None: ...
    def revoke_hash(self, token_hash: str) -> bool:
        """Use a token up; False when it was gone already."""


class Metrics(Protocol):
    """Metrics of runs."""

    def add(self, project_id: ProjectId, metrics: Sequence[Metric]) -> None: ...
    def page(self, project_id: ProjectId, run_id: RunId, *, limit: int, cursor: str | None) -> Page[Metric]:
        """Return a page, oldest first."""

    def latest(self, project_id: ProjectId, run_id: RunId) -> dict[str, float]:
        """Return the value of each metric that was logged last, by name."""


class RunEvents(Protocol):
    """The live story of runs; ``event_id`` increases over the whole store."""

    def add(self, project_id: ProjectId, run_id: RunId, kind: str, at: datetime, data: Mapping[str, Any]) -> None: ...
    def after(
        self, project_id: ProjectId, event_id: int, *, run_id: RunId | None, kind: str | None = None, limit: int = 500
    ) -> list[RunEvent]: ...
