# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run is a graph of ordinary runs; everything they need is bound when it is submitted.

``version`` counts the changes of the whole; a node's run carries the version at which it changed last, so whoever knows
a version can ask for what is newer.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from animus_contracts.digests import Digest
from animus_contracts.environments import Resources
from animus_contracts.identifiers import DatasetVersionId, LockId, PipelineRunId, ProjectId, RunId
from animus_contracts.pages import ListQuery
from animus_contracts.parameters import Parameter
from animus_contracts.pipeline_plans import PipelinePlan, PlannedNode
from animus_contracts.pipelines import OnFailure, Pipeline
from animus_contracts.projects import Role
from animus_contracts.runs import CodeRef, Limitation, RunClass

MAX_GRAPH = 1000
"""Most nodes in one answer of a graph."""


class PipelineState(StrEnum):
    """Where a pipeline run is. Values leave the process and never change."""

    RUNNING = "running"
    CANCELING = "canceling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


PIPELINE_ENDS = frozenset({PipelineState.SUCCEEDED, PipelineState.FAILED, PipelineState.CANCELED})


class NodeState(StrEnum):
    """Where a node's run is; ``running`` is from its submission to its end."""

    WAITING = "waiting"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"
    CANCELED = "canceled"
    REUSED = "reused"


OPEN_NODES = frozenset({NodeState.WAITING, NodeState.RUNNING})
"""States of a node that has not come to its end."""

GOOD_STATES = frozenset({NodeState.SUCCEEDED, NodeState.REUSED})
"""States of a node on whose artifacts others may build."""


class SubmitPipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Submit a pipeline.

    Attributes:
        pipeline: The file, as the client read it at the commit.
        code: Repository, commit and the file's path in it; notebooks are relative to the file's folder.
        file_digest: Digest of the file's bytes at the commit.
        parameters: Values for the pipeline's parameters, in place of their defaults.
        schemas: What each notebook declares, by its path as the file gives it.
        run_class: ``development`` or ``production``, for all nodes.
        limitations: Limitations the client knows of, such as a dirty worktree.
        labels: Free annotations, for all runs.
        priority: Place in the project's queue, for all runs.
    """

    pipeline: Pipeline
    code: CodeRef
    file_digest: Digest
    parameters: dict[str, Any] = {}
    schemas: dict[str, list[Parameter]] = {}
    run_class: RunClass = RunClass.DEVELOPMENT
    limitations: list[Limitation] = []
    labels: dict[str, str] = {}
    priority: int = 0


class NodeBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a node is bound to, whatever happens to names afterwards."""

    environment_lock_id: LockId
    parameters_schema_digest: Digest
    datasets: dict[str, DatasetVersionId] = {}
    resources: Resources | None = None


class BoundPipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything the runs of a pipeline run are made of, written once.

    Attributes:
        plan: The plan.
        bindings: What each node is bound to, by name.
        limitations: Limitations of the code, for all runs.
        priority: Place in the queue, for all runs.
        role: The role the submitter had; nothing is done with more.
    """

    project_id: ProjectId
    pipeline_run_id: PipelineRunId
    plan: PipelinePlan
    bindings: dict[str, NodeBinding]
    limitations: list[Limitation]
    priority: int
    role: Role


class PipelineRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pipeline run. Everything up to ``created_by`` is fixed; the rest changes until the state is an end.

    Attributes:
        plan_hash: Digest of the plan; equal for equal files and parameters, whoever submits them.
        repairs: The pipeline run whose results this one reuses.
        counts: How many runs of nodes are in each state that has any.
        reason: Why it failed or was canceled, in one sentence.
    """

    pipeline_run_id: PipelineRunId
    project_id: ProjectId
    name: str
    code: CodeRef
    file_digest: Digest
    plan_hash: Digest
    parameters: dict[str, Any]
    run_class: RunClass
    max_parallel: int
    on_failure: OnFailure
    labels: dict[str, str]
    repairs: PipelineRunId | None
    created_at: datetime
    created_by: str

    state: PipelineState = PipelineState.RUNNING
    version: int = 1
    counts: dict[NodeState, int] = {}
    finished_at: datetime | None = None
    reason: str = ""


class NodeRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One run of a node: its only one, or one item of a sweep.

    Attributes:
        place: Its place in the plan, counted over all items.
        item: Which item of a sweep; None for a node without one.
        parameters: The values its notebook gets.
        version: Version of the pipeline run at which it changed last.
        run_id: Its run, the newest one if it was retried; of a reused node the run of the pipeline run before.
        reason: Why it failed, was skipped or canceled, in one sentence.
        metrics: The last value of each metric, once it has ended.
    """

    project_id: ProjectId
    pipeline_run_id: PipelineRunId
    place: int
    node: str
    item: int | None
    parameters: dict[str, Any]

    state: NodeState = NodeState.WAITING
    version: int = 1
    run_id: RunId | None = None
    reason: str = ""
    metrics: dict[str, float] = {}
    submitted_at: datetime | None = None
    ended_at: datetime | None = None


class GraphNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A node in the picture of a pipeline run; ``counts`` holds the states of its items."""

    name: str
    notebook: str
    state: NodeState
    counts: dict[NodeState, int]
    run_ids: list[RunId]
    reason: str


class GraphEdge(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """``child`` waits for ``parent`` and uses these artifacts of it, if any."""

    parent: str
    child: str
    artifacts: list[str]


class PipelineGraph(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Nodes ``offset`` and following in the order of the plan, out of ``total``, with the edges that lead to them."""

    pipeline_run_id: PipelineRunId
    name: str
    state: PipelineState
    version: int
    nodes: list[GraphNode]
    edges: list[GraphEdge]
    offset: int
    total: int


class PipelineChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What changed in a pipeline run since a version; ``event_id`` is the version it leads to."""

    event_id: int
    type: str
    pipeline_run: PipelineRun
    nodes: list[NodeRun]


class PipelineListQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, newest first, only pipeline runs of this name or in this state."""

    name: str | None = None
    state: PipelineState | None = None


class NodeListQuery(ListQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """As :class:`ListQuery`, in the order of the plan, only items of this node."""

    node: str | None = None


class GraphQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which nodes: at most ``limit`` after leaving out ``offset``."""

    limit: Annotated[int, msgspec.Meta(ge=1, le=MAX_GRAPH)] = MAX_GRAPH
    offset: Annotated[int, msgspec.Meta(ge=0, le=MAX_GRAPH)] = 0


class CancelPipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Stop a pipeline run with everything in it; one that has ended stays as it is."""

    reason: str = ""


def edges_of(nodes: Iterable[PlannedNode]) -> list[GraphEdge]:
    """Return the edges that lead to nodes."""
    return [
        GraphEdge(
            parent=parent,
            child=node.name,
            artifacts=sorted({source.artifact for source in node.inputs.values() if source.node == parent}),
        )
        for node in nodes
        for parent in node.parents
    ]


def state_of_node(states: Iterable[NodeState]) -> NodeState:
    """Return the state of a node, given those of its items."""
    found = set(states)
    if NodeState.WAITING in found and len(found) > 1:
        return NodeState.RUNNING
    order = (NodeState.RUNNING, NodeState.WAITING, NodeState.FAILED, NodeState.CANCELED, NodeState.SKIPPED)
    worst = next((state for state in order if state in found), None)
    return worst or (NodeState.REUSED if found == {NodeState.REUSED} else NodeState.SUCCEEDED)
