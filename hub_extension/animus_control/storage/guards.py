# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is written once is guarded by the database itself, against our own code as much as against a stranger's.

| guard | against |
|---|---|
| :data:`WRITTEN_ONCE` | every UPDATE and DELETE |
| :data:`CHANGING` | every DELETE, an UPDATE of a fixed column, an UPDATE of a row that has come to its end |
| on PostgreSQL, both | TRUNCATE; and the guards are ``ENABLE ALWAYS``, so the replica role does not get past them |
"""

from __future__ import annotations

from collections.abc import Iterator

from animus_contracts.answers import AnswerState
from animus_contracts.approvals import ApprovalState
from animus_contracts.executions import ExecutionState
from animus_contracts.pipeline_runs import OPEN_NODES, PIPELINE_ENDS, NodeState
from animus_contracts.runs import TERMINAL_STATES
from animus_contracts.schedules import FiringState, ScheduleState
from animus_contracts.tasks import TaskState

WRITTEN_ONCE = (
    "artifacts",
    "audit_events",
    "dataset_files",
    "dataset_versions",
    "datasets",
    "end_events",
    "environment_locks",
    "lineage_edges",
    "metrics",
    "pipeline_plans",
    "plans",
    "policies",
    "policy_decisions",
    "policy_snapshots",
    "project_objects",
    "provenances",
    "quotas",
)


def _any_changed(*columns: str) -> str:
    return " OR ".join(f"OLD.{column} <> NEW.{column}" for column in columns)


def _among(column: str, words: Iterator[str]) -> str:
    listed = ", ".join(f"'{word}'" for word in sorted(words))
    return f"OLD.{column} IN ({listed})"


ANSWERED = _among("state", iter((AnswerState.ANSWERED.value, AnswerState.FAILED.value)))
CHANGING = {
    "approvals": (
        _any_changed("project_id", "approval_id", "run_id", "decision_id", "expires_at", "document")
        + " OR "
        + _among("state", (state.value for state in ApprovalState if state is not ApprovalState.PENDING))
    ),
    "audit_head": "OLD.id <> NEW.id OR NEW.sequence < OLD.sequence",
    "comparisons": f"{_any_changed('project_id', 'comparison_id', 'left_run_id', 'document')} OR {ANSWERED}",
    "environments": _any_changed("project_id", "environment_id", "name", "version", "document"),
    "executions": (
        _any_changed("execution_id", "project_id", "run_id", "attempt", "executor", "document")
        + " OR "
        + _among("state", iter((ExecutionState.ENDED.value, ExecutionState.LOST.value)))
    ),
    "inspections": f"{_any_changed('project_id', 'inspection_id', 'document')} OR {ANSWERED}",
    "preflights": f"{_any_changed('project_id', 'preflight_id', 'inspection_id', 'document')} OR {ANSWERED}",
    "firings": (
        _any_changed("project_id", "firing_id", "schedule_id", "due_at", "created_at", "document")
        + " OR "
        + _among("state", (state.value for state in FiringState if state is not FiringState.PENDING))
    ),
    "pipeline_nodes": (
        _any_changed("project_id", "pipeline_run_id", "place", "node", "document")
        + " OR "
        + _among("state", (state.value for state in NodeState if state not in OPEN_NODES))
    ),
    "pipeline_runs": (
        _any_changed("project_id", "pipeline_run_id", "name", "created_by", "document")
        + " OR "
        + _among("state", (state.value for state in PIPELINE_ENDS))
    ),
    "projects": _any_changed("project_id", "name", "document"),
    "schedules": (
        _any_changed("project_id", "schedule_id", "name", "created_by", "document")
        + " OR "
        + _among("state", iter((ScheduleState.RETIRED.value,)))
    ),
    "runs": (
        _any_changed(
            "project_id",
            "run_id",
            "created_by",
            "run_class",
            "platform",
            "environment_lock_id",
            "policy_decision_id",
            "priority",
            "shape",
            "cpus_milli",
            "memory_mib",
            "gpus",
            "retries",
            "document",
        )
        + " OR "
        + _among("state", (state.value for state in TERMINAL_STATES))
    ),
    "tasks": (
        _any_changed("task_id", "project_id", "document")
        + " OR "
        + _among("state", iter((TaskState.DONE.value, TaskState.FAILED.value)))
    ),
}
"""Tables whose rows change, and which changes are refused."""

_POSTGRESQL_REFUSE = """
CREATE FUNCTION animus_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION USING MESSAGE = TG_OP || ' on ' || TG_TABLE_NAME || ' is refused: what it would change is final';
END $$"""


def statements(dialect: str) -> Iterator[str]:
    """Yield the DDL of all guards for ``sqlite`` or ``postgresql``."""
    if dialect == "postgresql":
        yield _POSTGRESQL_REFUSE
    build = _postgresql if dialect == "postgresql" else _sqlite
    for table in WRITTEN_ONCE:
        yield from build(table, None)
    for table, refused in CHANGING.items():
        yield from build(table, refused)


def _sqlite(table: str, refused: str | None) -> Iterator[str]:
    for verb, condition in (("UPDATE", refused), ("DELETE", None)):
        when = f"WHEN {condition} " if condition else ""
        message = f"{verb} on {table} is refused: what it would change is final"
        yield (
            f"CREATE TRIGGER guard_{table}_{verb.lower()} BEFORE {verb} ON {table} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
        )


def _postgresql(table: str, refused: str | None) -> Iterator[str]:
    for verb, condition in (("UPDATE", refused), ("DELETE", None), ("TRUNCATE", None)):
        name = f"guard_{table}_{verb.lower()}"
        each = "STATEMENT" if verb == "TRUNCATE" else "ROW"
        when = f"WHEN ({condition}) " if condition else ""
        yield f"CREATE TRIGGER {name} BEFORE {verb} ON {table} FOR EACH {each} {when}EXECUTE FUNCTION animus_refuse()"
        yield f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {name}"
