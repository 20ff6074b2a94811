# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables. What belongs to a project has (project_id, id) as its key, so that no reference can leave the project.

Ids are UUIDv7, so the order of the key is the order of creation, and the key serves the plain list. Each further way
to list a table has one index that ends in the id. A document is written once; what changes has a column of its own.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import (
    text as condition,
)

from animus_contracts.approvals import Approval, ApprovalState
from animus_contracts.artifacts import Artifact, ArtifactKind, Metric
from animus_contracts.audit import Action, Outcome
from animus_contracts.datasets import Dataset, DatasetVersion
from animus_contracts.environments import Environment, EnvironmentLock, EnvironmentState
from animus_contracts.executions import Execution, ExecutionState, Provenance, Verdict
from animus_contracts.executors import Executor
from animus_contracts.lineage import LineageEdge, Predicate
from animus_contracts.origins import Relation
from animus_contracts.plans import Plan
from animus_contracts.policies import Effect, Policy, PolicyDecision, PolicySnapshot, PolicyState
from animus_contracts.projects import Project, ProjectState, Role, RoleBinding, SubjectType
from animus_contracts.quotas import Quota
from animus_contracts.runs import Failure, Limitation, Progress, Run, RunClass, RunState
from animus_contracts.schedules import Firing, FiringState, Schedule, ScheduleState
from animus_control.storage import check_tables, pipeline_tables  # noqa: F401 - the schema is complete only with them
from animus_control.storage.columns import METADATA, SERIAL, Instant, Message, number, of_project, records, text, word

QUEUED = condition("state = 'queued'")
READY = condition("state = 'queued' AND held_until IS NULL")
HELD = condition("state = 'queued' AND held_until IS NOT NULL")
DUE = condition("due_at IS NOT NULL")
IN_USE = condition("state IN ('dispatching', 'running', 'unknown', 'reconciling')")
CANCELING = condition("state IN ('leased', 'running') AND cancel_requested")
LIVE = condition("state IN ('leased', 'running')")
PENDING = condition("state = 'pending'")
ACTIVE = condition("state = 'active'")
NOT_RETIRED = condition("state <> 'retired'")
STARTED = condition("state IN ('fired', 'pending')")
NOT_ENDED = condition("state NOT IN ('canceled', 'failed', 'succeeded')")


projects = Table(
    "projects",
    METADATA,
    text("project_id", primary_key=True),
    text("name", unique=True),
    text("description"),
    Column("labels", Message(dict[str, str]), nullable=False),
    word("state", ProjectState),
    number("version"),
    Column("document", Message(Project), nullable=False),
)

role_bindings = records(
    "role_bindings", "binding_id", RoleBinding,
    word("subject_type", SubjectType), text("subject"), word("role", Role),
    UniqueConstraint("project_id", "subject_type", "subject"),
)  # fmt: skip
Index(None, role_bindings.c.subject_type, role_bindings.c.subject, role_bindings.c.project_id)

# What the Hub said last, and when; nobody's right, and no project's.
user_groups = Table(
    "user_groups", METADATA, text("subject", primary_key=True),
    Column("member_of", Message(list[str])), Column("as_of", Instant), text("failure"),
)  # fmt: skip

datasets = records("datasets", "dataset_id", Dataset, text("name"), UniqueConstraint("project_id", "name"))

dataset_versions = records(
    "dataset_versions", "version_id", DatasetVersion,
    text("dataset_id"), number("ordinal"), text("content_digest"),
    of_project("datasets", "dataset_id"),
    UniqueConstraint("project_id", "dataset_id", "ordinal"),
    UniqueConstraint("project_id", "dataset_id", "content_digest"),
    by=("dataset_id",),
)  # fmt: skip

environments = records(
    "environments", "environment_id", Environment,
    text("name"), number("version"), word("state", EnvironmentState),
    UniqueConstraint("project_id", "name", "version"),
    by=("name",),
)  # fmt: skip

environment_locks = records(
    "environment_locks", "lock_id", EnvironmentLock,
    text("environment_id"), text("environment"), text("env_hash"),
    of_project("environments", "environment_id"),
    by=("environment_id", "environment", "env_hash"),
)  # fmt: skip

policies = records(
    "policies", "policy_id", Policy,
    text("name"), number("version"), word("state", PolicyState),
    UniqueConstraint("project_id", "name", "version"),
    by=("name",),
)  # fmt: skip

policy_snapshots = records(
    "policy_snapshots", "snapshot_id", PolicySnapshot, text("digest"), UniqueConstraint("project_id", "digest")
)

policy_decisions = records(
    "policy_decisions", "decision_id", PolicyDecision,
    text("snapshot_id"), text("subject"), word("effect", Effect),
    of_project("policy_snapshots", "snapshot_id"),
    by=("subject",),
)  # fmt: skip

quotas = records("quotas", "quota_id", Quota, number("version"), number("period_days"),
                 UniqueConstraint("project_id", "version"))  # fmt: skip

project_usage = Table(
    "project_usage",
    METADATA,
    text("project_id"),
    number("day"),
    number("cpu"),
    number("memory"),
    number("gpu"),
    PrimaryKeyConstraint("project_id", "day"),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
)

runs = records(
    "runs", "run_id", Run,
    text("created_by"), word("run_class", RunClass), text("platform"),
    text("environment_lock_id"), text("policy_decision_id"),
    number("priority"), text("shape"), number("cpus_milli"), number("memory_mib"), number("gpus"),
    number("retries"), word("state", RunState), number("version"), number("attempt"), number("epoch"),
    Column("limitations", Message(list[Limitation]), nullable=False),
    Column("progress", Message(Progress), nullable=False),
    Column("queued_at", Instant), Column("started_at", Instant), Column("finished_at", Instant),
    Column("held_until", Instant), Column("due_at", Instant),
    Column("failure", Message(Failure)), Column("repeats", Text), word("relation", Relation, nullable=True),
    CheckConstraint("state <> 'queued' OR queued_at IS NOT NULL", name="queued_at"),
    of_project("environment_locks", "environment_lock_id", "lock_id"),
    of_project("policy_decisions", "policy_decision_id", "decision_id"),
    by=("state", "created_by"),
)  # fmt: skip
# Only queued runs are in it, so it stays small however many runs there are; each project and shape in its order.
Index(
    "ix_runs_queue", runs.c.platform, runs.c.project_id, runs.c.shape, runs.c.priority.desc(), runs.c.queued_at,
    runs.c.run_id, sqlite_where=READY, postgresql_where=READY,
)  # fmt: skip
Index("ix_runs_held", runs.c.held_until, sqlite_where=HELD, postgresql_where=HELD)
Index("ix_runs_due", runs.c.due_at, sqlite_where=DUE, postgresql_where=DUE)
Index("ix_runs_in_use", runs.c.platform, sqlite_where=IN_USE, postgresql_where=IN_USE)

REPEATED = condition("repeats IS NOT NULL")
Index(
    "ix_runs_repeats", runs.c.project_id, runs.c.repeats, runs.c.run_id,
    sqlite_where=REPEATED, postgresql_where=REPEATED,
)  # fmt: skip

approvals = records(
    "approvals", "approval_id", Approval,
    text("run_id"), text("decision_id"), word("state", ApprovalState), number("version"),
    Column("expires_at", Instant, nullable=False),
    Column("decided_by", Text), Column("decided_at", Instant), text("comment"), Column("final_decision_id", Text),
    of_project("runs", "run_id"),
    of_project("policy_decisions", "decision_id"),
    of_project("policy_decisions", "final_decision_id", "decision_id"),
    UniqueConstraint("project_id", "run_id"),
    by=("state",),
)  # fmt: skip
Index("ix_approvals_pending", approvals.c.expires_at, sqlite_where=PENDING, postgresql_where=PENDING)

schedules = records(
    "schedules", "schedule_id", Schedule,
    text("name"), text("created_by"), word("state", ScheduleState), number("version"), Column("next_at", Instant),
    CheckConstraint("(state = 'active') = (next_at IS NOT NULL)", name="next_at"),
    by=("name",),
)  # fmt: skip
Index("ix_schedules_due", schedules.c.next_at, sqlite_where=ACTIVE, postgresql_where=ACTIVE)
Index(
    "uq_schedules_in_use", schedules.c.project_id, schedules.c.name, unique=True,
    sqlite_where=NOT_RETIRED, postgresql_where=NOT_RETIRED,
)  # fmt: skip

firings = records(
    "firings", "firing_id", Firing,
    text("schedule_id"), Column("due_at", Instant, nullable=False), Column("created_at", Instant, nullable=False),
    word("state", FiringState), number("version"), Column("inspection_id", Text), text("reason"), text("commit_id"),
    Column("run_id", Text), Column("decision_id", Text),
    of_project("schedules", "schedule_id"),
    of_project("runs", "run_id"),
    UniqueConstraint("project_id", "schedule_id", "due_at"),
    by=("schedule_id", "inspection_id"),
)  # fmt: skip

Index("ix_firings_pending", firings.c.created_at, sqlite_where=PENDING, postgresql_where=PENDING)

plans = records("plans", "run_id", Plan, of_project("runs", "run_id"))
# Attempts and reports know the run and not its project: without these each of them would read every run there is.
Index(None, runs.c.run_id)
Index(None, plans.c.run_id)

executions = Table(
    "executions",
    METADATA,
    text("execution_id", primary_key=True),
    text("project_id"),
    text("run_id"),
    number("attempt"),
    number("epoch"),
    text("executor"),
    word("state", ExecutionState),
    Column("lease_expires_at", Instant, nullable=False),
    Column("started_at", Instant),
    Column("ended_at", Instant),
    word("verdict", Verdict, nullable=True),
    Column("cancel_requested", Boolean, nullable=False),
    Column("stop_by", Instant),
    number("last_sequence"),
    Column("document", Message(Execution), nullable=False),
    of_project("runs", "run_id"),
    UniqueConstraint("run_id", "attempt"),
)
Index("ix_executions_canceling", executions.c.executor, sqlite_where=CANCELING, postgresql_where=CANCELING)
Index("ix_executions_leases", executions.c.lease_expires_at, sqlite_where=LIVE, postgresql_where=LIVE)

executors = Table(
    "executors",
    METADATA,
    text("name", primary_key=True),
    Column("last_seen_at", Instant, nullable=False),
    Column("document", Message(Executor), nullable=False),
)

provenances = Table(
    "provenances",
    METADATA,
    text("execution_id", primary_key=True),
    Column("document", Message(Provenance), nullable=False),
    ForeignKeyConstraint(["execution_id"], ["executions.execution_id"]),
)

end_events = Table(
    "end_events",
    METADATA,
    text("execution_id", primary_key=True),
    text("event_id"),
    ForeignKeyConstraint(["execution_id"], ["executions.execution_id"]),
)

tokens = Table(
    "tokens",
    METADATA,
    text("token_hash", primary_key=True),
    Column("kind", Text, CheckConstraint("kind IN ('dispatch', 'run')", name="kind"), nullable=False),
    text("execution_id", index=True),
    text("run_id"),
    text("project_id"),
    number("epoch"),
    Column("expires_at", Instant, nullable=False),
    ForeignKeyConstraint(["execution_id"], ["executions.execution_id"]),
)

artifacts = records(
    "artifacts", "artifact_id", Artifact,
    text("run_id"), text("name"), word("kind", ArtifactKind), text("digest"),
    of_project("runs", "run_id"),
    by=("run_id", "digest"),
)  # fmt: skip

metrics = Table(
    "metrics",
    METADATA,
    text("project_id"),
    text("run_id"),
    number("sequence"),
    text("name"),
    Column("document", Message(Metric), nullable=False),
    PrimaryKeyConstraint("project_id", "run_id", "sequence"),
    of_project("runs", "run_id"),
)

run_events = Table(
    "run_events",
    METADATA,
    Column("event_id", SERIAL, primary_key=True),
    text("project_id"),
    text("run_id"),
    text("type"),
    Column("at", Instant, nullable=False),
    Column("data", Message(dict[str, Any]), nullable=False),
    of_project("runs", "run_id"),
    sqlite_autoincrement=True,  # a resumed stream must never meet an id for the second time
)
Index(None, run_events.c.run_id, run_events.c.event_id)
Index(None, run_events.c.project_id, run_events.c.type, run_events.c.event_id)

lineage_edges = records(
    "lineage_edges", "edge_id", LineageEdge,
    text("subject"), word("predicate", Predicate), text("object"),
    by=("subject", "object"),
)  # fmt: skip

project_objects = Table(
    "project_objects",
    METADATA,
    text("project_id"),
    text("digest"),
    number("size_bytes"),
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
    text("actor"),
    word("action", Action),
    text("resource"),
    word("outcome", Outcome),
    Column("record", LargeBinary, nullable=False),
    text("previous_hash"),
    text("hash"),
)
for _field in ("actor", "action", "resource"):
    Index(None, audit_events.c.project_id, audit_events.c[_field], audit_events.c.sequence)
Index(None, audit_events.c.project_id, audit_events.c.sequence)

audit_head = Table(
    "audit_head",
    METADATA,
    Column("id", Integer, CheckConstraint("id = 1", name="single"), primary_key=True, autoincrement=False),
    number("sequence"),
    text("hash"),
    Column("checked_at", Instant),
)

outbox = Table(
    "outbox",
    METADATA,
    Column("message_id", SERIAL, primary_key=True),
    text("topic"),
    text("key"),
    Column("payload", Message(dict[str, Any]), nullable=False),
    Column("at", Instant, nullable=False),
    sqlite_autoincrement=True,
)

idempotency_keys = Table(
    "idempotency_keys",
    METADATA,
    text("scope"),
    text("key"),
    text("fingerprint"),
    number("status"),
    Column("body", LargeBinary, nullable=False),
    text("location"),
    Column("expires_at", Instant, nullable=False, index=True),
    PrimaryKeyConstraint("scope", "key"),
)

SCHEMA = METADATA
"""All tables; whoever takes it from here has loaded every one of them."""
