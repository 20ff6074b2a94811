# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The tables of pipeline runs; their rules are those of :mod:`animus_control.storage.tables`."""

from __future__ import annotations

from sqlalchemy import Column, Index, PrimaryKeyConstraint, Table, Text
from sqlalchemy import text as condition

from animus_contracts.pipeline_runs import BoundPipeline, NodeRun, NodeState, PipelineRun, PipelineState
from animus_control.storage.columns import METADATA, Instant, Message, number, of_project, records, text, word

IN_PROGRESS = condition("state IN ('canceling', 'running')")

pipeline_runs = records(
    "pipeline_runs", "pipeline_run_id", PipelineRun,
    text("name"), text("created_by"), word("state", PipelineState), number("version"),
    Column("counts", Message(dict[NodeState, int]), nullable=False),
    Column("finished_at", Instant), text("reason"),
    by=("name", "state"),
)  # fmt: skip
Index(
    "ix_pipeline_runs_in_progress", pipeline_runs.c.pipeline_run_id,
    sqlite_where=IN_PROGRESS, postgresql_where=IN_PROGRESS,
)  # fmt: skip

pipeline_plans = records(
    "pipeline_plans", "pipeline_run_id", BoundPipeline, of_project("pipeline_runs", "pipeline_run_id")
)

pipeline_nodes = Table(
    "pipeline_nodes",
    METADATA,
    text("project_id"),
    text("pipeline_run_id"),
    number("place"),
    text("node"),
    word("state", NodeState),
    number("version"),
    Column("run_id", Text),
    text("reason"),
    Column("metrics", Message(dict[str, float]), nullable=False),
    Column("submitted_at", Instant),
    Column("ended_at", Instant),
    Column("document", Message(NodeRun), nullable=False),
    PrimaryKeyConstraint("project_id", "pipeline_run_id", "place"),
    of_project("pipeline_runs", "pipeline_run_id"),
    of_project("runs", "run_id"),
)
