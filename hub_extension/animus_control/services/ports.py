# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the use cases need from the outside, as protocols; ``bootstrap`` decides what stands behind them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from concurrent.futures import Future
from datetime import datetime
from typing import Protocol, TypeVar

from animus_contracts.artifacts import Artifact
from animus_contracts.comparisons import Comparison
from animus_contracts.datasets import Dataset, DatasetVersion, StoredObject
from animus_contracts.digests import Digest
from animus_contracts.environments import EnvironmentLock
from animus_contracts.inspections import Inspection
from animus_contracts.policies import PolicySnapshot
from animus_contracts.preflights import Preflight
from animus_control.services.repositories import (
    Answers,
    AuditLog,
    DatasetFiles,
    Environments,
    IdempotencyKeys,
    Lineage,
    Outbox,
    ProjectObjects,
    Projects,
    Quotas,
    Records,
    RoleBindings,
)
from animus_control.services.rule_repositories import (
    Approvals,
    Firings,
    Policies,
    PolicyDecisions,
    Schedules,
    UserGroups,
)
from animus_control.services.run_repositories import (
    Executions,
    Executors,
    HeldRetries,
    Metrics,
    Pipelines,
    Queue,
    RunEvents,
    Runs,
    Tasks,
    Tokens,
)

T = TypeVar("T")


class UnitOfWork(Protocol):
    """One atomic piece of work: change, audit events, outbox, or nothing at all."""

    projects: Projects
    role_bindings: RoleBindings
    user_groups: UserGroups
    datasets: Records[Dataset]
    dataset_versions: Records[DatasetVersion]
    dataset_files: DatasetFiles
    environments: Environments
    environment_locks: Records[EnvironmentLock]
    policies: Policies
    policy_snapshots: Records[PolicySnapshot]
    policy_decisions: PolicyDecisions
    runs: Runs
    held_retries: HeldRetries
    approvals: Approvals
    schedules: Schedules
    firings: Firings
    pipelines: Pipelines
    executions: Executions
    executors: Executors
    queue: Queue
    quotas: Quotas
    artifacts: Records[Artifact]
    metrics: Metrics
    events: RunEvents
    lineage: Lineage
    tasks: Tasks
    inspections: Answers[Inspection]
    preflights: Answers[Preflight]
    comparisons: Answers[Comparison]
    tokens: Tokens
    objects: ProjectObjects
    idempotency: IdempotencyKeys
    audit: AuditLog
    outbox: Outbox

    def notify(self, channel: str) -> None:
        """Wake who waits on a channel (``queue:<platform>``, ``tasks``, ``run:<id>``, …) when this is durable."""


class ReadableDatabase(Protocol):
    """Runs units of work that only read."""

    def read(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run work that only reads, on this thread, in one consistent snapshot."""

    def now(self) -> datetime:
        """Return the database's present, which all that share it agree on."""

    def close(self) -> None:
        """Finish the queued work and release everything."""


class Database(ReadableDatabase, Protocol):
    """Runs units of work. Durable before the answer, always."""

    def begin(self, work: Callable[[UnitOfWork], T], tell: Callable[[T | None, Exception | None], object]) -> None:
        """Queue work for the writer, which commits several pieces together, each as a whole or not at all.

        Work may be done more than once, of which one time counts: it changes nothing but its unit of work. What came of
        it is told once it is durable, on the thread that writes, which does nothing else meanwhile.
        """

    def write(self, work: Callable[[UnitOfWork], T]) -> Future[T]:
        """Queue work in the same way; the future resolves when it is durable."""

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call ``listener(channel)`` after each notified commit, from any thread; returns the way to stop it."""

    def check(self) -> None:
        """Raise when the database cannot be read and written."""


class ObjectStore(Protocol):
    """Bytes by digest, written once."""

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes]) -> StoredObject:
        """Store bytes while hashing them.

        Raises:
            InvalidError: With ``artifact_hash_mismatch``, keeping nothing, when they do not have the digest.
        """

    async def size(self, digest: Digest) -> int | None: ...
    def read(self, digest: Digest) -> AsyncIterator[bytes]:
        """Return the bytes in chunks; raises ``MissingError`` when they are gone."""

    async def sweep(self) -> int:
        """Remove what killed uploads left behind and return how many there were; never of one that goes on."""

    async def check(self) -> None:
        """Raise when the store cannot be written."""
