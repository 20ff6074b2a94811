# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run of two nodes to store."""

from __future__ import annotations

from animus_contracts.digests import Digest
from animus_contracts.identifiers import PipelineRunId
from animus_contracts.pipeline_plans import build_pipeline_plan
from animus_contracts.pipeline_runs import BoundPipeline, NodeRun, NodeState, PipelineRun
from animus_contracts.pipelines import Node, OnFailure, Pipeline
from animus_contracts.projects import Role
from animus_contracts.runs import RunClass
from animus_control.services.ports import UnitOfWork
from tests.ports.records_of_a_project import CODE, NOW, PROJECT_ID, WHO, digest, identifier

ID = PipelineRunId(identifier(70))
PIPELINE = Pipeline(name="wine", environment="e", nodes={"a": Node(notebook="a.ipynb"), "b": Node(notebook="b.ipynb")})


def a_pipeline_run(number: int = 70) -> PipelineRun:
    return PipelineRun(
        pipeline_run_id=PipelineRunId(identifier(number)), project_id=PROJECT_ID, name="wine", code=CODE,
        file_digest=Digest(digest("file")), plan_hash=digest("plan"), parameters={"x": 1},
        run_class=RunClass.DEVELOPMENT, max_parallel=2, on_failure=OnFailure.FAIL_FAST, labels={}, repairs=None,
        created_at=NOW, created_by=WHO, counts={NodeState.WAITING: 2},
    )  # fmt: skip


def a_bound(run: PipelineRun) -> BoundPipeline:
    return BoundPipeline(
        project_id=PROJECT_ID, pipeline_run_id=run.pipeline_run_id, plan=build_pipeline_plan(PIPELINE, {}),
        bindings={}, limitations=[], priority=0, role=Role.EDITOR,
    )  # fmt: skip


def rows_of(run: PipelineRun) -> list[NodeRun]:
    return [
        NodeRun(
            project_id=PROJECT_ID, pipeline_run_id=run.pipeline_run_id, place=place, node=name, item=None,
            parameters={"x": 1.0},
        )
        for place, name in enumerate("ab")
    ]  # fmt: skip


def add_pipelines(uow: UnitOfWork) -> None:
    """Store a pipeline run that has just begun."""
    run = a_pipeline_run()
    uow.pipelines.add(run, a_bound(run), rows_of(run))
