# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of runs, their attempts and what these report; their rules are those of :mod:`.tables`."""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    Boolean,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy import text as condition

from animus_contracts.artifacts import Artifact, ArtifactKind, Metric
from animus_contracts.executions import Execution, ExecutionState, Provenance, Verdict
from animus_contracts.executors import Executor
from animus_contracts.origins import Relation
from animus_contracts.plans import Plan
from animus_contracts.runs import Failure, Limitation, Progress, Run, RunClass, RunState
from animus_control.storage.columns import METADATA, SERIAL, Instant, Message, number, of_project, records, text, word

QUEUED = condition("state = 'queued'")
READY = condition("state = 'queued' AND held_until IS NULL")
HELD = condition("state = 'queued' AND held_until IS NOT NULL")
DUE = condition("due_at IS NOT NULL")
REPEATED = condition("repeats IS NOT NULL")
IN_USE = condition("state IN ('dispatching', 'running', 'unknown', 'reconciling')")
CANCELING = condition("state IN ('leased', 'running') AND cancel_requested")
LIVE = condition("state IN ('leased', 'running')")
NOT_ENDED = condition("state NOT IN ('canceled', 'failed', 'succeeded')")

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
Index(
    "ix_runs_repeats", runs.c.project_id, runs.c.repeats, runs.c.run_id,
    sqlite_where=REPEATED, postgresql_where=REPEATED,
)  # fmt: skip

plans = records("plans", "run_id", Plan, of_project("runs", "run_id"))
# A retry that is decided is gone from it: what became of it is in the audit log.
held_retries = Table(
    "held_retries", METADATA,
    text("project_id"), text("run_id"), Column("since", Instant, nullable=False), text("reason"),
    PrimaryKeyConstraint("project_id", "run_id"),
    of_project("runs", "run_id"),
)  # fmt: skip

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
