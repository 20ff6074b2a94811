# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run and its plan are written together; the runs of its nodes change only together with its version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import and_, bindparam, exists, or_, select, update

from animus_contracts.identifiers import PipelineRunId, ProjectId
from animus_contracts.pages import Page
from animus_contracts.pipeline_runs import BoundPipeline, NodeRun, NodeState, PipelineRun
from animus_contracts.runs import TERMINAL_STATES
from animus_control.storage.cursors import decode_number, page_of
from animus_control.storage.pipeline_tables import IN_PROGRESS, pipeline_nodes, pipeline_plans, pipeline_runs
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, ReadableTable
from animus_control.storage.repositories.user_groups import known_of
from animus_control.storage.run_tables import held_retries, runs
from animus_control.storage.session import Session

LAYOUT = Layout[PipelineRun](pipeline_runs, changing=("state", "version", "counts", "finished_at", "reason"))
PLANS = Layout[BoundPipeline](pipeline_plans)
NODES = Layout[NodeRun](
    pipeline_nodes, changing=("state", "version", "run_id", "reason", "metrics", "submitted_at", "ended_at")
)
_UPDATE = Prepared(
    update(pipeline_runs)
    .where(
        pipeline_runs.c.project_id == bindparam("project"),
        pipeline_runs.c.pipeline_run_id == bindparam("pipeline"),
        pipeline_runs.c.version == bindparam("expected_version"),
        IN_PROGRESS,
    )
    .values({name: bindparam(f"new_{name}") for name in LAYOUT.changing})
)
_NODES = (
    NODES.select()
    .where(
        pipeline_nodes.c.project_id == bindparam("project"),
        pipeline_nodes.c.pipeline_run_id == bindparam("pipeline"),
        pipeline_nodes.c.version > bindparam("after"),
    )
    .order_by(pipeline_nodes.c.place)
)
_ALL = Prepared(_NODES)
_PAGE = _NODES.where(pipeline_nodes.c.place > bindparam("beyond")).limit(bindparam("count"))
_PAGES = {False: Prepared(_PAGE), True: Prepared(_PAGE.where(pipeline_nodes.c.node == bindparam("node")))}
_SAVE = Prepared(
    update(pipeline_nodes)
    .where(
        pipeline_nodes.c.project_id == bindparam("project"),
        pipeline_nodes.c.pipeline_run_id == bindparam("pipeline"),
        pipeline_nodes.c.place == bindparam("at"),
    )
    .values({name: bindparam(f"new_{name}") for name in NODES.changing})
)
_RETRY_HELD = exists().where(held_retries.c.project_id == runs.c.project_id, held_retries.c.run_id == runs.c.run_id)
_ALIVE = (
    select(runs.c.run_id)
    .where(
        runs.c.project_id == pipeline_nodes.c.project_id,
        runs.c.run_id == pipeline_nodes.c.run_id,
        pipeline_nodes.c.project_id == pipeline_runs.c.project_id,
        pipeline_nodes.c.pipeline_run_id == pipeline_runs.c.pipeline_run_id,
        pipeline_nodes.c.state == NodeState.RUNNING,
        or_(and_(*[runs.c.state != state for state in sorted(TERMINAL_STATES)]), _RETRY_HELD),
    )
    .correlate(pipeline_runs)
)
_HELD = exists().where(
    pipeline_nodes.c.project_id == pipeline_runs.c.project_id,
    pipeline_nodes.c.pipeline_run_id == pipeline_runs.c.pipeline_run_id,
    pipeline_nodes.c.state == NodeState.WAITING,
    pipeline_nodes.c.reason != "",
)
_STALLED = Prepared(
    LAYOUT.select()
    .where(
        IN_PROGRESS,
        or_(and_(_HELD, known_of(pipeline_runs.c.created_by)), and_(~_HELD, ~_ALIVE.exists())),
    )
    .limit(bindparam("count"))
)


class PipelineTable(ReadableTable[PipelineRun]):
    """Pipeline runs, with their plans and the runs of their nodes."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, LAYOUT)

    def add(self, run: PipelineRun, plan: BoundPipeline, nodes: Sequence[NodeRun]) -> None:
        """Store a new pipeline run, all of it."""
        self._session.change(LAYOUT.insert, LAYOUT.row(run))
        self._session.change(PLANS.insert, PLANS.row(plan))
        self._session.add_many(NODES.insert, [NODES.row(node) for node in nodes])

    def plan(self, project_id: ProjectId, pipeline_run_id: PipelineRunId) -> BoundPipeline:
        """Return what a pipeline run is made of.

        Raises:
            LookupError: If there is no such pipeline run.
        """
        found = ReadableTable(self._session, PLANS).get(project_id, pipeline_run_id)
        if found is None:
            raise LookupError(pipeline_run_id)
        return found

    def compare_and_set(self, run: PipelineRun, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one and the stored state is no end."""
        key = {"project": run.project_id, "pipeline": run.pipeline_run_id, "expected_version": expected_version}
        return self._session.change(_UPDATE, LAYOUT.changes(run) | key) == 1

    def nodes(self, project_id: ProjectId, pipeline_run_id: PipelineRunId, *, after: int = 0) -> list[NodeRun]:
        """Return the runs of nodes that changed after a version, in the order of the plan."""
        values = {"project": project_id, "pipeline": pipeline_run_id, "after": after}
        return [NODES.read(row) for row in self._session.all(_ALL, values)]

    def page_of_nodes(
        self, project_id: ProjectId, pipeline_run_id: PipelineRunId, *, limit: int, cursor: str | None, node: str | None
    ) -> Page[NodeRun]:
        """Return a page of the runs of nodes, of one node or all, in the order of the plan.

        Raises:
            ValueError: On a bad cursor.
        """
        beyond = -1 if cursor is None else decode_number(cursor)
        values = {"project": project_id, "pipeline": pipeline_run_id, "after": 0, "beyond": beyond, "count": limit + 1}
        named = {} if node is None else {"node": node}
        found = [NODES.read(row) for row in self._session.all(_PAGES[bool(named)], values | named)]
        return page_of(found, [row.place for row in found], limit)

    def save_nodes(self, nodes: Sequence[NodeRun]) -> None:
        """Replace the mutable part of runs of nodes."""
        for node in nodes:
            key = {"project": node.project_id, "pipeline": node.pipeline_run_id, "at": node.place}
            self._session.change(_SAVE, NODES.changes(node) | key)

    def stalled(self, *, known_since: datetime, limit: int) -> list[PipelineRun]:
        """Return pipeline runs in which nothing goes on, and those with a held node whose owner's groups are known."""
        rows = self._session.all(_STALLED, {"known_since": known_since, "count": limit})
        return [LAYOUT.read(row) for row in rows]
