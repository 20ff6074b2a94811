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

from animus_contracts.audit import AuditEvent, AuditRecord
from animus_contracts.datasets import DatasetFile, DatasetVersion, StoredObject
from animus_contracts.digests import Digest
from animus_contracts.environments import Environment, EnvironmentState
from animus_contracts.identifiers import BindingId, ProjectId
from animus_contracts.lineage import LineageEdge
from animus_contracts.pages import Page
from animus_contracts.projects import Project, Role, RoleBinding
from animus_contracts.quotas import Quota
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


class DatasetFiles(Protocol):
    """Which dataset versions hold which bytes."""

    def add(self, version: DatasetVersion) -> None:
        """Note the files of a new version."""

    def page(self, project_id: ProjectId, *, limit: int, cursor: str | None, digest: Digest) -> Page[DatasetFile]:
        """Return a page of the versions with these bytes, newest first. Raises ValueError on a bad cursor."""


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


class Quotas(Records[Quota], Protocol):
    """Quota versions, and what projects use."""

    def standing(self, project_id: ProjectId, now: datetime) -> Standing: ...
    def standings(self, platform: str, now: datetime) -> Mapping[ProjectId, Standing]:
        """Return the standing of every project with a run ready on the platform."""

    def spend(self, project_id: ProjectId, day: int, spent: Spent) -> None:
        """Add to what a project used on a day, unaudited: it follows from the ends of runs."""


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
