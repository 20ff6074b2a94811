# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline is checked as a whole, bound as a whole and stored as a whole; then its first nodes are submitted.

A repair is a new pipeline run of the same plan, bound to the same things, that takes over what was good.
"""

from __future__ import annotations

import msgspec

from animus_contracts.audit import Action
from animus_contracts.identifiers import PipelineRunId
from animus_contracts.pages import Page
from animus_contracts.permissions import Permission
from animus_contracts.pipeline_plans import plan_hash
from animus_contracts.pipeline_runs import (
    GOOD_STATES,
    PIPELINE_ENDS,
    BoundPipeline,
    CancelPipeline,
    GraphQuery,
    NodeListQuery,
    NodeRun,
    NodeState,
    PipelineGraph,
    PipelineListQuery,
    PipelineRun,
    PipelineState,
    SubmitPipeline,
    edges_of,
)
from animus_control.domain.errors import ConflictError, DeniedError
from animus_control.domain.pipelines import by_node, counts, graph_nodes
from animus_control.services.acting import on_behalf
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.pipeline_binding import bind_pipeline, role_of
from animus_control.services.pipeline_steps import advance, store
from animus_control.services.ports import UnitOfWork
from animus_control.services.quotas import check_priority
from animus_control.services.scope import by_id, project_of
from animus_control.services.user_groups import note_caller

MAX_REASON = 500


@operation("pipelines.submit")
def submit_pipeline(uow: UnitOfWork, call: Call, message: SubmitPipeline) -> PipelineRun:
    """Submit a pipeline; its first nodes are queued when this returns."""
    _require_personal_role(uow, call)
    note_caller(uow, call)
    check_priority(uow, call, message)
    run_id = PipelineRunId(call.new_id())
    bound = bind_pipeline(uow, call, message, run_id)
    run = PipelineRun(
        pipeline_run_id=run_id,
        project_id=bound.project_id,
        name=bound.plan.name,
        code=message.code,
        file_digest=message.file_digest,
        plan_hash=plan_hash(bound.plan),
        parameters={**message.pipeline.parameters, **message.parameters},
        run_class=message.run_class,
        max_parallel=bound.plan.max_parallel,
        on_failure=bound.plan.on_failure,
        labels=message.labels,
        repairs=None,
        created_at=call.now,
        created_by=call.principal.subject,
    )
    return _begin(uow, call, run, bound, _fresh_rows(bound))


@operation("pipelines.list")
def list_pipelines(uow: UnitOfWork, call: Call, message: PipelineListQuery) -> Page[PipelineRun]:
    """List pipeline runs."""
    filters = {"name": message.name, "state": message.state}
    return paged(uow.pipelines.page, message, project_of(call).project_id, **filters)


@operation("pipelines.read")
def read_pipeline(uow: UnitOfWork, call: Call, message: object) -> PipelineRun:  # noqa: ARG001 - every operation has a message
    """Return a pipeline run."""
    return by_id(call, uow.pipelines, "pipeline", "pipeline run")


@operation("pipelines.nodes")
def list_nodes(uow: UnitOfWork, call: Call, message: NodeListQuery) -> Page[NodeRun]:
    """List the runs of nodes, with what went in and the metrics that came out."""
    run = read_pipeline(uow, call, None)
    return paged(uow.pipelines.page_of_nodes, message, run.project_id, run.pipeline_run_id, node=message.node)


@operation("pipelines.graph")
def read_graph(uow: UnitOfWork, call: Call, message: GraphQuery) -> PipelineGraph:
    """Return a pipeline run as a graph."""
    run = read_pipeline(uow, call, None)
    planned = uow.pipelines.plan(run.project_id, run.pipeline_run_id).plan.nodes
    shown = planned[message.offset : message.offset + message.limit]
    rows = by_node(uow.pipelines.nodes(run.project_id, run.pipeline_run_id))
    return PipelineGraph(
        pipeline_run_id=run.pipeline_run_id,
        name=run.name,
        state=run.state,
        version=run.version,
        nodes=graph_nodes(shown, rows),
        edges=edges_of(shown),
        offset=message.offset,
        total=len(planned),
    )


@operation("pipelines.cancel")
def cancel_pipeline(uow: UnitOfWork, call: Call, message: CancelPipeline) -> PipelineRun:
    """Stop a pipeline run: nothing more is submitted, and what runs is asked to stop."""
    run = read_pipeline(uow, call, None)
    if run.state in PIPELINE_ENDS or run.state is PipelineState.CANCELING:
        return run
    reason = message.reason[:MAX_REASON]
    canceling = store(uow, run, msgspec.structs.replace(run, state=PipelineState.CANCELING, reason=reason), {})
    resource = f"pipeline_run:{run.pipeline_run_id}"
    uow.audit.append(audited(call, Action.PIPELINE_CANCELED, resource, details={"reason": reason}))
    return advance(uow, call, canceling.project_id, canceling.pipeline_run_id)


@operation("pipelines.repair")
def repair_pipeline(uow: UnitOfWork, call: Call, message: None) -> PipelineRun:  # noqa: ARG001 - as above
    """Run what failed, was skipped or canceled again, under today's rules, and reuse what was good."""
    old = read_pipeline(uow, call, None)
    if old.state not in PIPELINE_ENDS:
        remedy = "Wait for its end, or cancel it."
        raise ConflictError("invalid_transition", f"the pipeline run is still {old.state}", remedy=remedy)
    if old.state is PipelineState.SUCCEEDED:
        raise ConflictError("nothing_to_repair", remedy="Submit the pipeline again to run all of it.")
    _require_personal_role(uow, call)
    note_caller(uow, call)
    run_id = PipelineRunId(call.new_id())
    bound = uow.pipelines.plan(old.project_id, old.pipeline_run_id)
    bound = msgspec.structs.replace(bound, pipeline_run_id=run_id, role=role_of(call))
    run = msgspec.structs.replace(
        old,
        pipeline_run_id=run_id,
        repairs=old.pipeline_run_id,
        created_at=call.now,
        created_by=call.principal.subject,
        state=PipelineState.RUNNING,
        version=1,
        finished_at=None,
        reason="",
    )
    rows = _taken_over(bound, uow.pipelines.nodes(old.project_id, old.pipeline_run_id))
    details = {"repaired_by": run_id}
    uow.audit.append(audited(call, Action.PIPELINE_REPAIRED, f"pipeline_run:{old.pipeline_run_id}", details=details))
    return _begin(uow, call, run, bound, rows)


def _begin(uow: UnitOfWork, call: Call, run: PipelineRun, bound: BoundPipeline, rows: list[NodeRun]) -> PipelineRun:
    uow.pipelines.add(msgspec.structs.replace(run, counts=counts(rows)), bound, rows)
    details = {
        "name": run.name,
        "commit": run.code.commit,
        "file_digest": run.file_digest,
        "plan_hash": run.plan_hash,
        "run_class": run.run_class,
        "nodes": len(bound.plan.nodes),
        "runs": len(rows),
        "repairs": run.repairs,
    }
    uow.audit.append(audited(call, Action.PIPELINE_CREATED, f"pipeline_run:{run.pipeline_run_id}", details=details))
    return advance(uow, call, run.project_id, run.pipeline_run_id)


def _fresh_rows(bound: BoundPipeline) -> list[NodeRun]:
    rows: list[NodeRun] = []
    for node in bound.plan.nodes:
        for number, parameters in enumerate(node.items):
            row = NodeRun(
                project_id=bound.project_id,
                pipeline_run_id=bound.pipeline_run_id,
                place=len(rows),
                node=node.name,
                item=number if node.is_sweep else None,
                parameters=parameters,
            )
            rows.append(row)
    return rows


def _taken_over(bound: BoundPipeline, old: list[NodeRun]) -> list[NodeRun]:
    return [
        msgspec.structs.replace(
            fresh,
            state=NodeState.REUSED,
            run_id=before.run_id,
            metrics=before.metrics,
            submitted_at=before.submitted_at,
            ended_at=before.ended_at,
        )
        if before.state in GOOD_STATES
        else fresh
        for fresh, before in zip(_fresh_rows(bound), old, strict=True)
    ]


def _require_personal_role(uow: UnitOfWork, call: Call) -> None:
    """Refuse what could only begin: later nodes are submitted by a role, never by administering the platform.

    Raises:
        ConflictError: ``no_personal_role``.
    """
    try:
        on_behalf(uow, call, project_of(call), call.principal.subject, Permission.RUN_SUBMIT)
    except DeniedError as error:
        raise ConflictError("no_personal_role", error.detail, remedy=error.remedy) from error
