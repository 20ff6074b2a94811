# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of what the data plane is asked to look at: the tasks themselves, and the records that wait for them."""

from __future__ import annotations

from sqlalchemy import Boolean, Column, ForeignKeyConstraint, Index, Table, Text
from sqlalchemy import text as condition

from animus_contracts.answers import AnswerState
from animus_contracts.comparisons import Comparison, InputDifference, MetricComparison, OutputComparison, Timing
from animus_contracts.inspections import Inspection, NotebookFindings
from animus_contracts.preflights import Check, Preflight
from animus_contracts.tasks import Task, TaskState
from animus_control.storage.columns import METADATA, Instant, Message, number, of_project, records, text, word

WAITING = condition("state = 'waiting'")
LEASED = condition("state = 'leased'")

tasks = Table(
    "tasks",
    METADATA,
    text("task_id", primary_key=True),
    text("project_id"),
    word("state", TaskState),
    number("attempt"),
    text("executor"),
    Column("lease_expires_at", Instant),
    Column("document", Message(Task), nullable=False),
    ForeignKeyConstraint(["project_id"], ["projects.project_id"]),
)
Index("ix_tasks_waiting", tasks.c.task_id, sqlite_where=WAITING, postgresql_where=WAITING)
Index("ix_tasks_leased", tasks.c.lease_expires_at, sqlite_where=LEASED, postgresql_where=LEASED)

inspections = records(
    "inspections", "inspection_id", Inspection,
    word("state", AnswerState), Column("findings", Message(NotebookFindings)), text("failure"),
    Column("ended_at", Instant),
)  # fmt: skip

preflights = records(
    "preflights", "preflight_id", Preflight,
    Column("inspection_id", Text), word("state", AnswerState), Column("checks", Message(list[Check]), nullable=False),
    Column("ready", Boolean), Column("ended_at", Instant),
    by=("inspection_id",),
)  # fmt: skip

comparisons = records(
    "comparisons", "comparison_id", Comparison,
    text("left_run_id"), text("right_run_id"), word("state", AnswerState),
    Column("inputs", Message(list[InputDifference]), nullable=False),
    Column("metrics", Message(list[MetricComparison]), nullable=False),
    Column("timings", Message(list[Timing]), nullable=False),
    Column("outputs", Message(OutputComparison)), text("failure"), Column("ended_at", Instant),
    of_project("runs", "left_run_id", "run_id"),
    of_project("runs", "right_run_id", "run_id"),
    by=("left_run_id", "right_run_id"),
)  # fmt: skip
