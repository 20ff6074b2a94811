# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A desk calls operations as the edge does, on a real database, at a time the test chooses."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any, TypeVar

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.audit import AuditRecord
from animus_contracts.datasets import CreateDataset, CreateDatasetVersion, DatasetVersion, FileEntry, StoredObject
from animus_contracts.decoding import decode_json
from animus_contracts.digests import digest_bytes
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.environments import DefineEnvironment, EnvironmentLock, LockEnvironment
from animus_contracts.executions import (
    EndExecution,
    ExecutionEnded,
    Heartbeat,
    HeartbeatReply,
    Lease,
    LeaseRequest,
    StartExecution,
    Verdict,
)
from animus_contracts.identifiers import RANDOM_BYTES, ProjectId, uuid7
from animus_contracts.projects import CreateProject, Project, PutRoleBinding, Role, SubjectType
from animus_contracts.run_events import ExecutionEvent, ReportEvents
from animus_contracts.runs import CodeRef, Failure, Limitation, Run, SubmitRun
from animus_control.domain.errors import DeniedError
from animus_control.domain.identity import EVERY_PROJECT, SYSTEM, Principal, PrincipalKind, RunClaim
from animus_control.domain.limits import Limits
from animus_control.domain.user_groups import KnownGroups
from animus_control.services import access, catalogue, objects, reconcile
from animus_control.services.calls import Call
from animus_control.services.ports import Database, UnitOfWork
from animus_control.services.user_groups import note_groups
from tests.unit.control.moments import NOW

T = TypeVar("T")
WAIT_SECONDS = 30
BODY = b"a,b\n1,2\n"
REQUIREMENTS = "numpy==1.26.4 --hash=sha256:" + "0a" * 32
LIMITS = Limits(repository_schemes=frozenset({"https", "file"}))

ADA = Principal(name="ada", kind=PrincipalKind.USER, platform_admin=True, ceiling={EVERY_PROJECT: Role.ADMIN})
ED = Principal(name="ed", kind=PrincipalKind.USER, ceiling={EVERY_PROJECT: Role.ADMIN})
VIC = Principal(name="vic", kind=PrincipalKind.USER, ceiling={EVERY_PROJECT: Role.ADMIN})
NOBODY = Principal(name="eve", kind=PrincipalKind.USER, ceiling={EVERY_PROJECT: Role.ADMIN})
LOCAL = Principal(name="local", kind=PrincipalKind.EXECUTOR)
REMOTE = Principal(name="remote", kind=PrincipalKind.EXECUTOR)


@dataclass
class Desk:
    """Calls operations; ``now`` is the control plane's clock."""

    database: Database
    limits: Limits = LIMITS
    now: datetime = NOW
    numbers: Any = field(default_factory=count)
    present: dict[str, frozenset[str]] = field(default_factory=dict)
    """Who has called, and so of whom the Hub always tells; until a test says what it tells of them."""

    silent: set[str] = field(default_factory=set)
    """Of whom the Hub tells only what a test says."""

    def call(self, who: Principal, **path: str) -> Call:
        now = self.now
        return Call(
            principal=who,
            now=now,
            request_id=f"request-{next(self.numbers)}",
            new_id=lambda: uuid7(now, next(self.numbers).to_bytes(RANDOM_BYTES, "big")),  # in order within a moment
            new_secret=lambda: os.urandom(32).hex(),
            path=path,
            limits=self.limits,
        )

    def do(self, who: Principal, operation: str, message: Any = None, **path: Any) -> Any:
        """Call an operation; ``if_match`` is a header, everything else in ``path`` is in the path."""
        assert operation in catalogue.OPERATIONS
        endpoint, if_match = BY_OPERATION[operation], path.pop("if_match", None)
        call = replace(self.call(who, **path), if_match=if_match)
        self._introduce(who)
        try:
            return self.write(lambda uow: access.perform(uow, call, endpoint, message))
        except DeniedError as error:
            refusal = error
            self.write(lambda uow: access.record_denial(uow, call, endpoint, refusal))
            raise

    def _introduce(self, who: Principal) -> None:
        if who.kind is PrincipalKind.USER and who.name not in self.present:
            self.present[who.name] = who.groups
            self._note(who.name, who.groups, self.now)

    def hub_says(self, name: str, groups: Iterable[str] | None, *, failure: str = "", ago: float = 0) -> None:
        """Let it be known, as of some seconds ago, what groups a user has; None when there is no such user."""
        self.present[name] = frozenset()
        self.silent.add(name)
        self._note(name, None if groups is None else frozenset(groups), self.now - timedelta(seconds=ago), failure)

    def _note(self, name: str, groups: frozenset[str] | None, as_of: datetime, failure: str = "") -> None:
        known = KnownGroups(name=name, groups=groups, as_of=None if failure else as_of, failure=failure)
        self.write(lambda uow: note_groups(uow, [known]))

    def stream(self, who: Principal, operation: str, find: Callable[[UnitOfWork, Call], T], **path: str) -> T:
        """Call the part of a streaming endpoint that decides."""
        call = self.call(who, **path)
        return self.write(lambda uow: find(uow, access.enter(uow, call, BY_OPERATION[operation])))

    def write(self, work: Callable[[UnitOfWork], T]) -> T:
        return self.database.write(work).result(WAIT_SECONDS)

    def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return self.database.read(work)

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for name in self.present.keys() - self.silent:
            self._note(name, self.present[name], self.now)

    def reconcile(self, *, listened: float = 3600.0) -> int:
        call = self.call(SYSTEM)
        return self.write(lambda uow: reconcile.reconcile(uow, call, timedelta(seconds=listened)))

    def audit(self, project_id: ProjectId | None = None) -> list[AuditRecord]:
        """Return the records of the whole log, or of a project, oldest first."""
        events = self.read(lambda uow: uow.audit.page(project_id, limit=200, cursor=None)).items
        return [decode_json(event.record, AuditRecord) for event in events]

    def actions(self, project_id: ProjectId | None = None) -> list[str]:
        return [record.action.value for record in self.audit(project_id)]

    # A project as tests need it.

    def project(self, name: str = "demo") -> Project:
        project: Project = self.do(ADA, "projects.create", CreateProject(name=name))
        for who, role in ((ED, Role.EDITOR), (VIC, Role.VIEWER)):
            binding = PutRoleBinding(subject_type=SubjectType.USER, subject=who.name, role=role)
            self.do(ADA, "role_bindings.put", binding, project=name)
        return project

    def upload(self, body: bytes = BODY, *, project: str = "demo", who: Principal = ED) -> StoredObject:
        stored = StoredObject(digest=digest_bytes(body), size_bytes=len(body))
        return self.stream(
            who, "objects.put", lambda uow, call: objects.note_stored(uow, call, stored),
            project=project, digest=stored.digest,
        )  # fmt: skip

    def version(self, body: bytes = BODY, *, project: str = "demo") -> DatasetVersion:
        stored = self.upload(body, project=project)
        self.do(ED, "datasets.create", CreateDataset(name="wine"), project=project)
        entry = FileEntry(path="wine.csv", digest=stored.digest, size_bytes=stored.size_bytes)
        message = CreateDatasetVersion(files=[entry])
        version: DatasetVersion = self.do(ED, "dataset_versions.create", message, project=project, dataset="wine")
        return version

    def lock(self, *, project: str = "demo") -> EnvironmentLock:
        message = DefineEnvironment(name="sklearn", python="3.11", requirements=["scikit-learn"])
        environment = self.do(ED, "environments.define", message, project=project)
        locking = LockEnvironment(environment_id=environment.environment_id, requirements=REQUIREMENTS)
        lock: EnvironmentLock = self.do(ED, "environment_locks.create", locking, project=project)
        return lock

    def submission(self, **changes: Any) -> SubmitRun:
        """Make a lock, and a submission for it."""
        values: dict[str, Any] = {
            "code": CodeRef(repository="file:///srv/a.git", commit="0a" * 20, path="train.ipynb"),
            "environment_lock_id": self.lock().lock_id,
        }
        return SubmitRun(**values | changes)

    def submit(self, message: SubmitRun | None = None, who: Principal = ED) -> Run:
        """Submit a run; without a submission make the project first."""
        if message is None:
            self.project()
            message = self.submission()
        run: Run = self.do(who, "runs.submit", message, project="demo")
        return run

    def run(self, run: Run) -> Run:
        found: Run = self.do(VIC, "runs.read", project="demo", run=run.run_id)
        return found

    # The data plane.

    def lease(self, who: Principal = LOCAL, *limitations: Limitation) -> Lease | None:
        lease: Lease | None = self.do(who, "executions.lease", LeaseRequest(limitations=list(limitations))).lease
        return lease

    def leased(self, who: Principal = LOCAL) -> Lease:
        lease = self.lease(who)
        assert lease is not None
        return lease

    def start(self, lease: Lease, who: Principal = LOCAL, *limitations: Limitation, **changes: Any) -> str:
        values: dict[str, Any] = {"epoch": lease.epoch, "dispatch_token": lease.dispatch_token}
        message = StartExecution(**values | changes, limitations=list(limitations))
        token: str = self.do(who, "executions.start", message, execution=lease.execution_id).run_token
        return token

    def heartbeat(self, lease: Lease, who: Principal = LOCAL) -> HeartbeatReply:
        reply: HeartbeatReply = self.do(
            who, "executions.heartbeat", Heartbeat(epoch=lease.epoch), execution=lease.execution_id
        )
        return reply

    def report(self, lease: Lease, *events: ExecutionEvent) -> int:
        message = ReportEvents(epoch=lease.epoch, events=list(events))
        last: int = self.do(runner_of(lease), "executions.report", message, execution=lease.execution_id).last_sequence
        return last

    def product(self, lease: Lease, body: bytes, name: str = "model.bin") -> ArtifactEntry:
        """Upload bytes as the run and return the entry for the end."""
        stored = StoredObject(digest=digest_bytes(body), size_bytes=len(body))
        self.stream(
            runner_of(lease), "executions.put_object", lambda uow, call: objects.note_stored(uow, call, stored),
            execution=lease.execution_id, digest=stored.digest,
        )  # fmt: skip
        return ArtifactEntry(
            name=name, kind=ArtifactKind.OUTPUT, media_type="application/octet-stream",
            digest=stored.digest, size_bytes=len(body),
        )  # fmt: skip

    def end(
        self, lease: Lease, verdict: Verdict = Verdict.SUCCEEDED, failure: Failure | None = None, **more: Any
    ) -> ExecutionEnded:
        who = more.pop("who", LOCAL)
        values: dict[str, Any] = {"event_id": "end-1", "epoch": lease.epoch, "verdict": verdict, "failure": failure}
        ended: ExecutionEnded = self.do(
            who, "executions.end", EndExecution(**values | more), execution=lease.execution_id
        )
        return ended


def runner_of(lease: Lease) -> Principal:
    """Return the principal that a lease's run token stands for."""
    claim = RunClaim(
        run_id=lease.run_id, project_id=lease.project_id, execution_id=lease.execution_id, epoch=lease.epoch
    )
    return Principal(name=lease.run_id, kind=PrincipalKind.RUN, run=claim)
