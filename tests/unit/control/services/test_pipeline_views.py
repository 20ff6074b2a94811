# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the lists and the graph show of pipeline runs, and to whom."""

from __future__ import annotations

import pytest

from animus_contracts.pipeline_runs import (
    CancelPipeline,
    GraphQuery,
    NodeListQuery,
    NodeState,
    PipelineGraph,
    PipelineListQuery,
    PipelineState,
)
from animus_control.domain.errors import InvalidError, MissingError
from tests.unit.control.services.desk import ADA, VIC, Desk
from tests.unit.control.services.flows import CHAIN, FORK, finish, submit


def test_a_pipeline_run_of_another_project_is_not_there(desk: Desk) -> None:
    run = submit(desk, FORK)
    desk.project("other")
    for operation, message in (
        ("pipelines.read", None),
        ("pipelines.nodes", NodeListQuery()),
        ("pipelines.graph", GraphQuery()),
        ("pipelines.cancel", CancelPipeline()),
        ("pipelines.repair", None),
    ):
        with pytest.raises(MissingError):
            desk.do(ADA, operation, message, project="other", pipeline=run.pipeline_run_id)


def test_the_graph_shows_nodes_edges_and_states_page_by_page(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    finish(desk, "clean.csv")
    path = {"project": "demo", "pipeline": run.pipeline_run_id}
    whole: PipelineGraph = desk.do(VIC, "pipelines.graph", GraphQuery(), **path)
    assert [(node.name, node.state) for node in whole.nodes] == [
        ("prepare", NodeState.SUCCEEDED), ("train", NodeState.RUNNING), ("evaluate", NodeState.WAITING),
    ]  # fmt: skip
    assert [(edge.parent, edge.child, edge.artifacts) for edge in whole.edges] == [
        ("prepare", "train", ["clean.csv"]), ("prepare", "evaluate", []), ("train", "evaluate", ["model.bin"]),
    ]  # fmt: skip
    part: PipelineGraph = desk.do(VIC, "pipelines.graph", GraphQuery(limit=1, offset=1), **path)
    assert ([node.name for node in part.nodes], part.total) == (["train"], 3)


def test_the_lists_filter_by_name_and_state(desk: Desk) -> None:
    run = submit(desk, FORK)
    for query, found in (
        (PipelineListQuery(), [run.pipeline_run_id]),
        (PipelineListQuery(name="wine", state=PipelineState.RUNNING), [run.pipeline_run_id]),
        (PipelineListQuery(name="beer"), []),
        (PipelineListQuery(state=PipelineState.FAILED), []),
    ):
        page = desk.do(VIC, "pipelines.list", query, project="demo")
        assert [each.pipeline_run_id for each in page.items] == found
    path = {"project": "demo", "pipeline": run.pipeline_run_id}
    page = desk.do(VIC, "pipelines.nodes", NodeListQuery(limit=2), **path)
    rest = desk.do(VIC, "pipelines.nodes", NodeListQuery(limit=2, cursor=page.next_cursor), **path)
    assert [row.node for row in page.items + rest.items] == ["a", "b", "c"]
    assert [row.node for row in desk.do(VIC, "pipelines.nodes", NodeListQuery(node="b"), **path).items] == ["b"]
    with pytest.raises(InvalidError, match="cursor"):
        desk.do(VIC, "pipelines.nodes", NodeListQuery(cursor="x"), **path)
