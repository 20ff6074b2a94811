# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of policies, approvals and schedules; their rules are those of :mod:`.tables`."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, Index, Text, UniqueConstraint
from sqlalchemy import text as condition

from animus_contracts.approvals import Approval, ApprovalState
from animus_contracts.policies import Effect, Policy, PolicyDecision, PolicySnapshot, PolicyState
from animus_contracts.schedules import Firing, FiringState, Schedule, ScheduleState
from animus_control.storage.columns import Instant, number, of_project, records, text, word

PENDING = condition("state = 'pending'")
ACTIVE = condition("state = 'active'")
NOT_RETIRED = condition("state <> 'retired'")

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
