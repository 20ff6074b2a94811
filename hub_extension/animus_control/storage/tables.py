# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables. What belongs to a project has (project_id, id) as its key, so that no reference can leave the project.

Ids are UUIDv7, so the order of the key is the order of creation, and the key serves the plain list. Each further way
to list a table has one index that ends in the id. A document is written once; what changes has a column of its own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from animus_contracts.artifacts import Artifact, ArtifactKind, Metric
from animus_contracts.audit import Action, Outcome
from animus_contracts.datasets import Dataset, DatasetVersion
from animus_contracts.environments import Environment, EnvironmentLock, EnvironmentState
from animus_contracts.executions import Execution, ExecutionState, Provenance, Verdict
from animus_contracts.lineage import LineageEdge, Predicate
from animus_contracts.plans import Plan
from animus_contracts.policies import Effect, Policy, PolicyDecision, PolicySnapshot, PolicyState
from animus_contracts.projects import Project, ProjectState, Role, RoleBinding, SubjectType
from animus_contracts.runs import Failure, Limitation, Progress, Run, RunClass, RunState
from animus_control.storage.columns import Instant, Message, word

METADATA = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    }
)

# Row numbers: SQLite counts only in a column that is exactly INTEGER.
SERIAL = BigInteger().with_variant(Integer(), "sqlite")
QUEUED = text("state = 'queued'")
LIVE = text("state IN ('leased', 'running')")
NOT_ENDED = text("state NOT IN ('canceled', 'failed', 'succeeded')")


def _text(name: str, **more: Any) -> Column[str]:
    return Column(name, Text, nullable=False, **more)


def _number(name: str, **more: Any) -> Column[int]:
    return Column(name, BigInteger, nullable=False, **more)


def _records(name: str, key: str, message: type[Any], *columns: Any, by: tuple[str, ...] = ()) -> Table:
    """Build the table of a project's records: key, indexed columns, document, and one index per way to list them."""
    table = Table(
        name,
        METADATA,
        _text("project_id"),
        _text(key),
        *columns,
        Column("document", Message(message), nullable=False),
        PrimaryKeyConstraint("project_id", key),
        ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
    )
    for field in by:
        Index(None, table.c.project_id, table.c[field], table.c[key])
    return table


def _of_project(parent: str, column: str, key: str | None = None) -> ForeignKeyConstraint:
    """Build a reference that cannot leave the project."""
    return ForeignKeyConstraint(["project_id", column], [f"{parent}.project_id", f"{parent}.{key or column}"])


projects = Table(
    "projects",
    METADATA,
    _text("project_id", primary_key=True),
    _text("name", unique=True),
    _text("description"),
    Column("labels", Message(dict[str, str]), nullable=False),
    word("state", ProjectState),
    _number("version"),
    Column("document", Message(Project), nullable=False),
)

role_bindings = _records(
    "role_bindings", "binding_id", RoleBinding,
    word("subject_type", SubjectType), _text("subject"), word("role", Role),
    UniqueConstraint("project_id", "subject_type", "subject"),
)  # fmt: skip
Index(None, role_bindings.c.subject_type, role_bindings.c.subject, role_bindings.c.project_id)

datasets = _records("datasets", "dataset_id", Dataset, _text("name"), UniqueConstraint("project_id", "name"))

dataset_versions = _records(
    "dataset_versions", "version_id", DatasetVersion,
    _text("dataset_id"), _number("ordinal"), _text("content_digest"),
    _of_project("datasets", "dataset_id"),
    UniqueConstraint("project_id", "dataset_id", "ordinal"),
    UniqueConstraint("project_id", "dataset_id", "content_digest"),
    by=("dataset_id",),
)  # fmt: skip

environments = _records(
    "environments", "environment_id", Environment,
    _text("name"), _number("version"), word("state", EnvironmentState),
    UniqueConstraint("project_id", "name", "version"),
    by=("name",),
)  # fmt: skip

environment_locks = _records(
    "environment_locks", "lock_id", EnvironmentLock,
    _text("environment_id"), _text("environment"), _text("env_hash"),
    _of_project("environments", "environment_id"),
    by=("environment_id", "environment", "env_hash"),
)  # fmt: skip

policies = _records(
    "policies", "policy_id", Policy,
    _text("name"), _number("version"), word("state", PolicyState),
    UniqueConstraint("project_id", "name", "version"),
    by=("name",),
)  # fmt: skip

policy_snapshots = _records(
    "policy_snapshots", "snapshot_id", PolicySnapshot, _text("digest"), UniqueConstraint("project_id", "digest")
)

policy_decisions = _records(
    "policy_decisions", "decision_id", PolicyDecision,
    _text("snapshot_id"), _text("subject"), word("effect", Effect),
    _of_project("policy_snapshots", "snapshot_id"),
    by=("subject",),
)  # fmt: skip

runs = _records(
    "runs", "run_id", Run,
    _text("created_by"), word("run_class", RunClass), _text("platform"),
    _text("environment_lock_id"), _text("policy_decision_id"),
    word("state", RunState), _number("version"), _number("attempt"), _number("epoch"),
    Column("limitations", Message(list[Limitation]), nullable=False),
    Column("progress", Message(Progress), nullable=False),
    Column("queued_at", Instant), Column("started_at", Instant), Column("finished_at", Instant),
    Column("failure", Message(Failure)),
    CheckConstraint("state <> 'queued' OR queued_at IS NOT NULL", name="queued_at"),
    _of_project("environment_locks", "environment_lock_id", "lock_id"),
    _of_project("policy_decisions", "policy_decision_id", "decision_id"),
    by=("state", "created_by"),
)  # fmt: skip
# Only queued runs are in it, so it stays small however many runs there are; each class in its order of arrival.
Index(
    "ix_runs_queue", runs.c.platform, runs.c.run_class, runs.c.queued_at, runs.c.run_id,
    sqlite_where=QUEUED, postgresql_where=QUEUED,
)  # fmt: skip

plans = _records("plans", "run_id", Plan, _of_project("runs", "run_id"))

executions = Table(
    "executions",
    METADATA,
    _text("execution_id", primary_key=True),
    _text("project_id"),
    _text("run_id"),
    _number("attempt"),
    _number("epoch"),
    word("state", ExecutionState),
    Column("lease_expires_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    word("verdict", Verdict, nullable=True),
    Column("cancel_requested", Boolean, nullable=False),
    _number("last_sequence"),
    Column("document", Message(Execution), nullable=False),
    _of_project("runs", "run_id"),
    UniqueConstraint("run_id", "attempt"),
)
Index("ix_executions_leases", executions.c.lease_expires_at, sqlite_where=LIVE, postgresql_where=LIVE)

provenances = Table(
    "provenances",
    METADATA,
    _text("execution_id", primary_key=True),
    Column("document", Message(Provenance), nullable=False),
    ForeignKeyConstraint(["execution_id"], ["executions.execution_id"]),
)

end_events = Table(
    "end_events",
    METADATA,
    _text("execution_id", primary_key=True),
    _text("event_id"),
    ForeignKeyConstraint(["execution_id"], ["executions.execution_id"]),
)

tokens = Table(
    "tokens",
    METADATA,
    _text("token_hash", primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('dispatch', 'run')", name="kind"), nullable=False),
    _text("execution_id", index=True),
    _text("run_id"),
    _text("project_id"),
    _number("epoch"),
    Column("expires_at", Instant, nullable=False),
    ForeignKeyConstraint(["execution_id"], ["executions.execution_id"]),
)

artifacts = _records(
    "artifacts", "artifact_id", Artifact,
    _text("run_id"), _text("name"), word("kind", ArtifactKind), _text("digest"),
    _of_project("runs", "run_id"),
    by=("run_id", "digest"),
)  # fmt: skip

metrics = Table(
    "metrics",
    METADATA,
    _text("project_id"),
    _text("run_id"),
    _number("sequence"),
    Column("document", Message(Metric), nullable=False),
    PrimaryKeyConstraint("project_id", "run_id", "sequence"),
    _of_project("runs", "run_id"),
)

run_events = Table(
    "run_events",
    METADATA,
    Column("event_id", SERIAL, primary_key=True),
    _text("project_id"),
    _text("run_id"),
    _text("type"),
    Column("at", Instant, nullable=False),
    Column("data", Message(dict[str, Any]), nullable=False),
    _of_project("runs", "run_id"),
    sqlite_autoincrement=True,  # a resumed stream must never meet an id for the second time
)
Index(None, run_events.c.run_id, run_events.c.event_id)
Index(None, run_events.c.project_id, run_events.c.type, run_events.c.event_id)

lineage_edges = _records(
    "lineage_edges", "edge_id", LineageEdge,
    _text("subject"), word("predicate", Predicate), _text("object"),
    by=("subject", "object"),
)  # fmt: skip

project_objects = Table(
    "project_objects",
    METADATA,
    _text("project_id"),
    _text("digest"),
    _number("size_bytes"),
    Column("at", Instant, nullable=False),
    PrimaryKeyConstraint("project_id", "digest"),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
)

# An audit event outlives what it tells of, so it references nothing.
audit_events = Table(
    "audit_events",
    METADATA,
    Column("sequence", SERIAL, primary_key=True, autoincrement=False),
    Column("project_id", Text),
    _text("actor"),
    word("action", Action),
    _text("resource"),
    word("outcome", Outcome),
    Column("record", LargeBinary, nullable=False),
    _text("previous_hash"),
    _text("hash"),
)
for _field in ("actor", "action", "resource"):
    Index(None, audit_events.c.project_id, audit_events.c[_field], audit_events.c.sequence)
Index(None, audit_events.c.project_id, audit_events.c.sequence)

audit_head = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    _number("sequence"),
    _text("hash"),
    Column("checked_at", Instant),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("message_id", SERIAL, primary_key=True),
    _text("topic"),
    _text("key"),
    Column("payload", Message(dict[str, Any]), nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    _text("scope"),
    _text("key"),
    _text("fingerprint"),
    _number("status"),
    Column("body", LargeBinary, nullable=False),
    _text("location"),
    Column("expires_at", Instant, nullable=False, index=True),
    PrimaryKeyConstraint("scope", "key"),
)
