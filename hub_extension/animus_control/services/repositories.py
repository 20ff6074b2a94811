# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What each aggregate is kept in and found by, as protocols.

A repository takes and gives contract values. Everything that belongs to a project is reached through the project's
id, so that no query without a project can be written. ``add`` raises :class:`AlreadyExistsError`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol, TypeVar

from animus_contracts.artifacts import Metric
from animus_contracts.audit import AuditEvent, AuditRecord
from animus_contracts.datasets import StoredObject
from animus_contracts.digests import Digest
from animus_contracts.environments import Environment, EnvironmentState
from animus_contracts.executions import Execution, Provenance
from animus_contracts.executors import Executor
from animus_contracts.identifiers import BindingId, ExecutionId, PipelineRunId, ProjectId, RunId, TaskId
from animus_contracts.lineage import LineageEdge
from animus_contracts.pages import Page
from animus_contracts.pipeline_runs import BoundPipeline, NodeRun, PipelineRun
from animus_contracts.plans import Plan
from animus_contracts.projects import Project, Role, RoleBinding
from animus_contracts.quotas import Quota
from animus_contracts.run_events import RunEvent
from animus_contracts.runs import Progress, Run, RunState
from animus_contracts.tasks import Task
from animus_control.domain.queue import Head
from animus_control.domain.quotas import Spent, Standing

T = TypeVar("T")


class AlreadyExistsError(Exception):
    """A uniqueness rule of the store refused a record; ``constraint`` names the rule, such as ``uq_projects_name``.

    It ends the piece of work: nothing after it in the same unit of work can be stored.
    """

    def __init__(self, constraint: str) -> None:
        super().__init__(constraint)
        self.constraint = constraint


class Readable(Protocol[T]):
    """Records of one project, as they are read."""

    def get(self, project_id: ProjectId, record_id: str) -> T | None:
        """Return the record of this id in this project."""

    def find(self, project_id: ProjectId, **fields: Any) -> T | None:
        """Return the newest record whose indexed fields equal ``fields``: the highest version where there is one."""

    def page(self, project_id: ProjectId, *, limit: int, cursor: str | None, **fields: Any) -> Page[T]:
        """Return a page, newest first; a field that is None does not filter. Raises ValueError on a bad cursor."""


class Records(Readable[T], Protocol[T]):
    """Records of one project that never change once added."""

    def add(self, record: T) -> None:
        """Store a new record."""


class Answers(Records[T], Protocol[T]):
    """Records of one project that wait for an answer and change only until it is there."""

    def save(self, record: T) -> bool:
        """Replace what may change of a record that is still ``pending``; False when it is not."""


class Environments(Records[Environment], Protocol):
    """Environment versions; only their state changes."""

    def set_state(self, project_id: ProjectId, environment_id: str, state: EnvironmentState) -> bool:
        """Store another state; False when there is no such environment or it has that state already."""


class Projects(Protocol):
    """All projects."""

    def add(self, project: Project) -> None: ...
    def get(self, project_ref: str) -> Project | None:
        """Return the project of this id or name."""

    def named(self, project_ids: Sequence[ProjectId]) -> list[Project]: ...
    def page(
        self, *, limit: int, cursor: str | None, name: str | None, only: Sequence[ProjectId] | None
    ) -> Page[Project]:
        """Return a page ordered by name; ``only`` restricts it to these ids."""

    def compare_and_set(self, project: Project, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one."""


class RoleBindings(Protocol):
    """Who has which role."""

    def put(self, binding: RoleBinding) -> None:
        """Store the binding, replacing the one of the same project, subject type and subject."""

    def get(self, project_id: ProjectId, binding_id: BindingId) -> RoleBinding | None: ...
    def delete(self, project_id: ProjectId, binding_id: BindingId) -> None: ...
    def page(
        self, project_id: ProjectId, *, limit: int, cursor: str | None, role: Role | None = None
    ) -> Page[RoleBinding]: ...
    def of_subjects(
        self, subjects: Sequence[tuple[str, str]], *, project_id: ProjectId | None = None
    ) -> list[RoleBinding]:
        """Return all bindings of these (type, subject) pairs."""

    def count_admins(self, project_id: ProjectId) -> int: ...


class Runs(Readable[Run], Protocol):
    """Runs, with their plans. ``page`` filters by ``state`` and ``created_by``."""

    def add_with_plan(self, run: Run, plan: Plan) -> None: ...
    def plan(self, run_id: RunId) -> Plan: ...
    def compare_and_set(self, run: Run, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one and the stored state is not terminal."""

    def set_progress(self, run_id: RunId, progress: Progress) -> None:
        """Store how far a run is, unaudited and without a new version: progress is no decision and comes per cell."""

    def count_by_state(self) -> Mapping[RunState, int]: ...


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

    def stalled(self, *, limit: int) -> list[PipelineRun]:
        """Return pipeline runs of all projects that are in progress although nothing in them is."""


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


class Quotas(Records[Quota], Protocol):
    """Quota versions, and what projects use."""

    def standing(self, project_id: ProjectId, now: datetime) -> Standing: ...
    def standings(self, platform: str, now: datetime) -> Mapping[ProjectId, Standing]:
        """Return the standing of every project with a run ready on the platform."""

    def spend(self, project_id: ProjectId, day: int, spent: Spent) -> None:
        """Add to what a project used on a day, unaudited: it follows from the ends of runs."""


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


class Lineage(Protocol):
    """Lineage edges."""

    def add(self, edges: Sequence[LineageEdge]) -> None: ...
    def touching(self, project_id: ProjectId, nodes: Sequence[str], *, limit: int) -> list[LineageEdge]:
        """Return the edges that have one of the nodes at either end."""


class AuditLog(Protocol):
    """The audit log. ``append`` only buffers; the unit of work chains and stores what was buffered."""

    def append(self, record: AuditRecord) -> None: ...
    def page(
        self,
        project_id: ProjectId | None,
        *,
        limit: int,
        cursor: str | None,
        actor: str | None = None,
        action: str | None = None,
        resource: str | None = None,
    ) -> Page[AuditEvent]:
        """Return events, oldest first; of all projects when ``project_id`` is None."""

    def head(self) -> tuple[int, str]:
        """Return sequence and hash of the newest event, or ``(0, GENESIS)``."""


class Outbox(Protocol):
    """Messages to the outside, stored with the change they tell of."""

    def add(self, topic: str, key: str, payload: Mapping[str, Any], at: datetime) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredAnswer:
    """The answer first given under an idempotency key, and the fingerprint of the request it was given to."""

    fingerprint: str
    status: int
    body: bytes
    location: str = ""


class IdempotencyKeys(Protocol):
    """Answers by (principal, operation path, key), kept for at least 24 hours."""

    def find(self, scope: str, key: str) -> StoredAnswer | None: ...
    def add(self, scope: str, key: str, answer: StoredAnswer, *, expires_at: datetime) -> None: ...
    def prune(self, now: datetime) -> int: ...


class ProjectObjects(Protocol):
    """Which stored objects a project holds; a digest alone gives no access to bytes of another project."""

    def add(self, project_id: ProjectId, stored: StoredObject, at: datetime) -> None:
        """Note that the project holds the object; noting it again changes nothing."""

    def sizes(self, project_id: ProjectId, digests: Sequence[Digest]) -> Mapping[Digest, int]:
        """Return the sizes of those digests that the project holds."""
