# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Values to store: one small project with everything a run refers to, and an audit record for every change."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import msgspec

from animus_contracts.audit import Action, AuditRecord, Outcome
from animus_contracts.datasets import Dataset, DatasetVersion, FileEntry
from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.environments import Environment, EnvironmentLock, EnvironmentState, Resources
from animus_contracts.executions import Execution, ExecutionState
from animus_contracts.identifiers import (
    DatasetId,
    DatasetVersionId,
    DecisionId,
    EnvironmentId,
    ExecutionId,
    LockId,
    ProjectId,
    QuotaId,
    RunId,
    SnapshotId,
)
from animus_contracts.plans import Plan, PlannedEnvironment, PlannedInput
from animus_contracts.policies import Effect, PolicyDecision, PolicySnapshot
from animus_contracts.projects import Project, ProjectState
from animus_contracts.quotas import PutQuota, Quota
from animus_contracts.runs import CodeRef, DatasetBinding, Run, RunClass, RunState
from animus_control.services.ports import UnitOfWork
from animus_control.storage.database import StoredDatabase

T = TypeVar("T")

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
WHO = "user:ann"
CODE = CodeRef(repository="https://git.example.org/a.git", commit="0" * 40, path="train.ipynb")
WAIT_SECONDS = 30


def identifier(number: int) -> str:
    """Return the ``number``-th id; ids sort like their numbers."""
    return str(UUID(int=(0x0198 << 112) | (0x7 << 76) | (0x2 << 62) | number))


PROJECT_ID = ProjectId(identifier(1))
OTHER_ID = ProjectId(identifier(2))
DATASET_ID = DatasetId(identifier(11))
VERSION_ID = DatasetVersionId(identifier(12))
ENVIRONMENT_ID = EnvironmentId(identifier(13))
LOCK_ID = LockId(identifier(14))
SNAPSHOT_ID = SnapshotId(identifier(15))
DECISION_ID = DecisionId(identifier(16))
FILES = [FileEntry(path="wine.csv", digest=digest_bytes(b"wine"), size_bytes=4)]


def digest(text: str) -> Digest:
    return digest_bytes(text.encode())


def audit_record(resource: str = "project:any", **more: Any) -> AuditRecord:
    values: dict[str, Any] = {
        "occurred_at": NOW,
        "project_id": PROJECT_ID,
        "actor": WHO,
        "action": Action.RUN_CREATED,
        "resource": resource,
        "outcome": Outcome.SUCCESS,
        "request_id": "request",
        "details": {},
    }
    return AuditRecord(**values | more)


def write(database: StoredDatabase, work: Callable[[UnitOfWork], T]) -> T:
    """Do a piece of work with an audit record and wait until it is durable."""

    def audited(uow: UnitOfWork) -> T:
        uow.audit.append(audit_record())
        return work(uow)

    return database.write(audited).result(WAIT_SECONDS)


def a_project(project_id: ProjectId = PROJECT_ID, name: str = "alpha") -> Project:
    return Project(
        project_id=project_id,
        name=name,
        description="",
        labels={"team": "red"},
        state=ProjectState.ACTIVE,
        version=1,
        created_at=NOW,
        created_by=WHO,
    )


def a_dataset(number: int = 11, name: str = "wine") -> Dataset:
    return Dataset(
        dataset_id=DatasetId(identifier(number)),
        project_id=PROJECT_ID,
        name=name,
        description="",
        labels={},
        created_at=NOW,
        created_by=WHO,
    )


def a_version() -> DatasetVersion:
    return DatasetVersion(
        version_id=VERSION_ID,
        dataset_id=DATASET_ID,
        dataset="wine",
        project_id=PROJECT_ID,
        ordinal=1,
        content_digest=digest("version"),
        size_bytes=4,
        files=FILES,
        metadata={},
        created_at=NOW,
        created_by=WHO,
    )


def an_environment(number: int = 13, *, name: str = "sklearn", version: int = 1) -> Environment:
    return Environment(
        environment_id=EnvironmentId(identifier(number)),
        project_id=PROJECT_ID,
        name=name,
        version=version,
        description="",
        python="3.11",
        requirements=["scikit-learn"],
        images=[],
        limits=Resources(),
        state=EnvironmentState.ACTIVE,
        supersedes=None,
        created_at=NOW,
        created_by=WHO,
    )


def a_lock() -> EnvironmentLock:
    return EnvironmentLock(
        lock_id=LOCK_ID,
        project_id=PROJECT_ID,
        environment_id=ENVIRONMENT_ID,
        environment="sklearn",
        environment_version=1,
        python="3.11",
        platform="linux_x86_64",
        requirements="numpy==2.0 --hash=sha256:00\n",
        images=[],
        limits=Resources(),
        env_hash=digest("environment"),
        created_at=NOW,
        created_by=WHO,
    )


def a_snapshot() -> PolicySnapshot:
    return PolicySnapshot(
        snapshot_id=SNAPSHOT_ID, project_id=PROJECT_ID, digest=digest("snapshot"), policies=[], created_at=NOW
    )


def a_decision() -> PolicyDecision:
    return PolicyDecision(
        decision_id=DECISION_ID,
        project_id=PROJECT_ID,
        snapshot_id=SNAPSHOT_ID,
        snapshot_digest=digest("snapshot"),
        subject=WHO,
        action="run:submit",
        effect=Effect.ALLOW,
        deciding=["development"],
        missing=[],
        reason="",
        context={"run_class": "development"},
        context_digest=digest("context"),
        decided_at=NOW,
    )


def a_run(number: int = 100, **more: Any) -> Run:
    values: dict[str, Any] = {
        "run_id": RunId(identifier(number)),
        "project_id": PROJECT_ID,
        "run_class": RunClass.DEVELOPMENT,
        "code": CODE,
        "environment_lock_id": LOCK_ID,
        "env_hash": digest("environment"),
        "datasets": [
            DatasetBinding(
                name="train", version_id=VERSION_ID, dataset="wine", ordinal=1, content_digest=digest("version")
            )
        ],
        "parameters": {"depth": 4, "rate": 1.0, "huge": 2**70},
        "parameters_schema_digest": digest("schema"),
        "outputs": ["model"],
        "resources": Resources(),
        "seed": 7,
        "labels": {},
        "policy_snapshot_id": SNAPSHOT_ID,
        "policy_snapshot_digest": digest("snapshot"),
        "policy_decision_id": DECISION_ID,
        "inputs_hash": digest("inputs"),
        "spec_hash": digest("spec"),
        "plan_digest": digest("plan"),
        "created_at": NOW,
        "created_by": WHO,
        "state": RunState.QUEUED,
        "queued_at": NOW + timedelta(seconds=number),
    }
    return Run(**values | more)


def a_plan(run: Run, *, platform: str = "linux_x86_64") -> Plan:
    return Plan(
        run_id=run.run_id,
        project_id=run.project_id,
        run_class=run.run_class,
        code=run.code,
        environment=PlannedEnvironment(
            lock_id=LOCK_ID,
            env_hash=run.env_hash,
            python="3.11",
            platform=platform,
            requirements=a_lock().requirements,
            images=[],
        ),
        inputs=[PlannedInput(name="train", version_id=VERSION_ID, content_digest=digest("version"), files=FILES)],
        parameters=run.parameters,
        parameters_schema_digest=run.parameters_schema_digest,
        outputs=run.outputs,
        resources=run.resources,
        seed=run.seed,
        spec_hash=run.spec_hash,
    )


def an_execution(run: Run, number: int = 200, **more: Any) -> Execution:
    values: dict[str, Any] = {
        "execution_id": ExecutionId(identifier(number)),
        "run_id": run.run_id,
        "project_id": run.project_id,
        "attempt": 1,
        "epoch": 1,
        "executor": "local",
        "state": ExecutionState.LEASED,
        "leased_at": NOW,
        "lease_expires_at": NOW + timedelta(seconds=30),
    }
    return Execution(**values | more)


def a_quota(version: int = 1, **bounds: Any) -> Quota:
    put = PutQuota(**{"period_days": 2} | bounds)
    return Quota(
        quota_id=QuotaId(f"quota-{version}"),
        project_id=PROJECT_ID,
        version=version,
        created_at=NOW,
        created_by="user:root",
        **msgspec.structs.asdict(put),
    )


def add_surroundings(uow: UnitOfWork) -> None:
    """Store everything a run refers to."""
    uow.projects.add(a_project())
    uow.datasets.add(a_dataset())
    uow.dataset_versions.add(a_version())
    uow.dataset_files.add(a_version())
    uow.environments.add(an_environment())
    uow.environment_locks.add(a_lock())
    uow.policy_snapshots.add(a_snapshot())
    uow.policy_decisions.add(a_decision())


def add_runs(uow: UnitOfWork, *runs: Run) -> None:
    """Store runs with their plans."""
    for run in runs:
        uow.runs.add_with_plan(run, a_plan(run))


def changed(record: T, **fields: Any) -> T:
    """Return a copy of a message with other fields."""
    copy: T = msgspec.structs.replace(record, **fields)  # type: ignore[type-var]  # every T here is a struct
    return copy
