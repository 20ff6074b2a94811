# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Pipelines that Ed submits at a desk, and whose runs are carried out one by one."""

from __future__ import annotations

from typing import Any

from animus_contracts.decoding import convert
from animus_contracts.executions import Lease, Verdict
from animus_contracts.parameters import Parameter, ParameterType
from animus_contracts.pipeline_runs import NodeListQuery, NodeRun, PipelineRun, SubmitPipeline
from animus_contracts.pipelines import Pipeline
from animus_contracts.run_events import MetricLogged
from animus_contracts.runs import CodeRef, Failure, FailureReason, Run
from animus_control.domain.identity import SYSTEM
from animus_control.services import pipeline_steps
from tests.unit.control.services.desk import ED, VIC, Desk

CODE = CodeRef(repository="file:///srv/a.git", commit="0a" * 20, path="flows/wine.yaml")
DIGEST = "sha256:" + "ab" * 32
DEPTH = Parameter(name="depth", type=ParameterType.INTEGER, required=False, default=1)
BROKEN = Failure(reason=FailureReason.USER_CODE, summary="A cell raised an exception.")
CHAIN = {
    "prepare": {"notebook": "prepare.ipynb", "outputs": ["clean.csv"]},
    "train": {
        "notebook": "train.ipynb",
        "inputs": {"data": {"from": "prepare", "artifact": "clean.csv"}},
        "outputs": ["model.bin"],
    },
    "evaluate": {
        "notebook": "evaluate.ipynb",
        "inputs": {"model": {"from": "train", "artifact": "model.bin"}},
        "after": ["prepare"],
    },
}
FORK: dict[str, Any] = {
    "a": {"notebook": "a.ipynb"},
    "b": {"notebook": "b.ipynb"},
    "c": {"notebook": "c.ipynb", "after": ["a"]},
}


def a_pipeline(nodes: dict[str, Any], **more: Any) -> Pipeline:
    return convert({"name": "wine", "environment": "sklearn", "nodes": nodes, **more}, Pipeline)


def submission(nodes: dict[str, Any], **more: Any) -> SubmitPipeline:
    message = {name: more.pop(name) for name in ("run_class", "parameters", "labels", "priority") if name in more}
    schemas = {node["notebook"]: [DEPTH] for node in nodes.values()}
    return SubmitPipeline(
        pipeline=a_pipeline(nodes, **more), code=CODE, file_digest=DIGEST, schemas=schemas, **message
    )  # fmt: skip


def submit(desk: Desk, nodes: dict[str, Any], **more: Any) -> PipelineRun:
    desk.project()
    desk.lock()
    run: PipelineRun = desk.do(ED, "pipelines.submit", submission(nodes, **more), project="demo")
    return run


def read(desk: Desk, run: PipelineRun) -> PipelineRun:
    found: PipelineRun = desk.do(VIC, "pipelines.read", project="demo", pipeline=run.pipeline_run_id)
    return found


def rows(desk: Desk, run: PipelineRun) -> list[NodeRun]:
    page = desk.do(VIC, "pipelines.nodes", NodeListQuery(limit=200), project="demo", pipeline=run.pipeline_run_id)
    found: list[NodeRun] = page.items
    return found


def states(desk: Desk, run: PipelineRun) -> dict[str, str]:
    return {row.node if row.item is None else f"{row.node}[{row.item}]": row.state.value for row in rows(desk, run)}


def of(desk: Desk, run_id: str | None) -> Run:
    found: Run = desk.do(VIC, "runs.read", project="demo", run=run_id)
    return found


def begin(desk: Desk) -> tuple[Lease, str]:
    """Lease and start the next run; return the lease and the node it belongs to."""
    lease = desk.leased()
    desk.start(lease)
    ref = of(desk, lease.run_id).pipeline
    assert ref is not None
    return lease, ref.node


def finish(desk: Desk, *products: str, metrics: dict[str, float] | None = None) -> str:
    """Carry out the next run well; return its node."""
    lease, node = begin(desk)
    events = [
        MetricLogged(sequence=number, at=desk.now, name=name, step=0, value=value)
        for number, (name, value) in enumerate((metrics or {}).items(), 1)
    ]
    if events:
        desk.report(lease, *events)
    made = [desk.product(lease, f"{lease.run_id} {name}".encode(), name) for name in products]
    desk.end(lease, artifacts=made, event_id=f"end-{lease.run_id}")
    return node


def fail(desk: Desk, failure: Failure = BROKEN) -> str:
    lease, node = begin(desk)
    desk.end(lease, Verdict.FAILED, failure, event_id=f"end-{lease.run_id}")
    return node


def sweep(desk: Desk) -> int:
    call = desk.call(SYSTEM)
    return desk.write(lambda uow: pipeline_steps.sweep(uow, call))
