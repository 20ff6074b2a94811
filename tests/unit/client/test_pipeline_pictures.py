# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The picture of a pipeline: well-formed, every node once, nothing on top of each other, no colour alone."""

from __future__ import annotations

from itertools import pairwise
from xml.etree import ElementTree as ET

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus.pipeline_pictures import GAP_X, HEIGHT, LANE, LOOKS, WIDTH, graph_of, layout, mermaid, svg
from animus.pipeline_tables import PipelineStory, as_html, as_text, tables
from animus_contracts.decoding import decode_json
from animus_contracts.pipeline_plans import build_pipeline_plan
from animus_contracts.pipeline_runs import (
    GraphEdge,
    GraphNode,
    NodeRun,
    NodeState,
    PipelineGraph,
    PipelineRun,
    PipelineState,
)
from animus_contracts.pipelines import Node, Pipeline
from tests.contracts.samples import GOLDEN

SVG = "{http://www.w3.org/2000/svg}"
NASTY = 'a"]; click n0 <script>alert(1)</script> | #quot; \x1b[31m'


def a_graph(parents: dict[str, list[str]], state: NodeState = NodeState.WAITING) -> PipelineGraph:
    return PipelineGraph(
        pipeline_run_id="id", name="wine", state=PipelineState.RUNNING, version=1, offset=0, total=len(parents),
        nodes=[
            GraphNode(name=name, notebook="a.ipynb", state=state, counts={state: 1}, run_ids=[], reason="")
            for name in parents
        ],
        edges=[
            GraphEdge(parent=parent, child=name, artifacts=["x"]) for name, named in parents.items() for parent in named
        ],
    )  # fmt: skip


@st.composite
def graphs(draw: st.DrawFn) -> PipelineGraph:
    count = draw(st.integers(1, 14))
    parents = {
        f"n{number}": [f"n{p}" for p in draw(st.sets(st.integers(0, number - 1), max_size=4))] if number else []
        for number in range(count)
    }
    return a_graph(parents)


@given(graphs())
def test_every_node_and_edge_is_drawn_once_in_a_well_formed_document(graph: PipelineGraph) -> None:
    root = ET.fromstring(svg(graph))  # noqa: S314 - our own document
    groups = [group for group in root.iter(f"{SVG}g") if (group.get("class") or "").startswith("node ")]
    names = [group.findall(f"{SVG}text")[0].text for group in groups]
    assert names == [node.name for node in graph.nodes]
    assert len([path for path in root.iter(f"{SVG}path") if path.get("class") == "edge"]) == len(graph.edges)


@given(graphs())
def test_children_stand_right_of_their_parents_and_nothing_overlaps(graph: PipelineGraph) -> None:
    drawn = layout(graph)
    for edge in graph.edges:
        assert drawn.places[edge.child][0] >= drawn.places[edge.parent][0] + WIDTH + GAP_X
    columns: dict[int, list[tuple[float, float]]] = {}
    for x, y in drawn.places.values():
        columns.setdefault(x, []).append((y, y + HEIGHT))
    for bends in drawn.bends.values():
        for x, y in bends:
            columns.setdefault(x, []).append((y - LANE / 2, y + LANE / 2))
    for spans in columns.values():
        spans.sort()
        assert all(below >= above for (_, above), (below, _) in pairwise(spans))
        assert spans[0][0] >= 0


def test_an_edge_that_leaps_over_a_layer_passes_beside_its_nodes() -> None:
    drawn = layout(a_graph({"a": [], "b": ["a"], "c": ["a", "b"]}))
    ((_, y),) = drawn.bends["a", "c"]
    top = drawn.places["b"][1]
    assert not top < y < top + HEIGHT


def test_a_thousand_nodes_are_drawn() -> None:
    graph = a_graph({f"n{i}": [f"n{i // 2}"] if i else [] for i in range(1000)})
    assert svg(graph).count('<g class="node') == 1000
    assert mermaid(graph).count(":::waiting") == 1000


def test_a_graph_with_too_many_long_edges_is_drawn_without_lanes() -> None:
    graph = a_graph({f"n{i}": [f"n{i - 1}", "n0"] if i > 1 else ["n0"] if i else [] for i in range(100)})
    assert layout(graph).bends == {}


@pytest.mark.parametrize("state", NodeState)
def test_each_state_is_told_by_word_sign_and_description_and_not_by_colour_alone(state: NodeState) -> None:
    drawn, sign = svg(a_graph({"a": []}, state)), LOOKS[state][0]
    root = ET.fromstring(drawn)  # noqa: S314 - our own document
    assert root.get("role") == "img"
    assert root.findtext(f"{SVG}title") == "Pipeline wine: running"
    assert f"a {sign} {state}" in (root.findtext(f"{SVG}desc") or "")
    assert f">{sign} {state}</text>" in drawn
    assert f'"a<br/>{sign} {state}"]:::{state}' in mermaid(a_graph({"a": []}, state))


def test_signs_of_states_differ() -> None:
    assert len({sign for sign, _, _ in LOOKS.values()}) == len(NodeState) == len(LOOKS)


def test_what_comes_from_people_stays_text() -> None:
    node = GraphNode(
        name=NASTY, notebook=NASTY, state=NodeState.FAILED, counts={NodeState.FAILED: 1}, run_ids=[], reason=NASTY
    )
    graph = PipelineGraph(
        pipeline_run_id="id", name=NASTY, state=PipelineState.FAILED, version=1, nodes=[node],
        edges=[GraphEdge(parent=NASTY, child=NASTY, artifacts=[NASTY])], offset=0, total=1,
    )  # fmt: skip
    flat = mermaid(graph)
    assert "<script>" not in flat
    assert flat.count('"') == 4
    assert "\x1b" not in flat
    single = PipelineGraph(
        pipeline_run_id="id",
        name=NASTY,
        state=PipelineState.FAILED,
        version=1,
        nodes=[node],
        edges=[],
        offset=0,
        total=1,
    )
    assert "<script>" not in svg(single)
    ET.fromstring(svg(single))  # noqa: S314 - our own document


def test_a_pipeline_that_was_not_submitted_has_a_picture_in_which_everything_waits() -> None:
    pipeline = Pipeline(
        name="wine", environment="e", nodes={"b": Node(notebook="b.ipynb", after=["a"]), "a": Node(notebook="a.ipynb")}
    )
    graph = graph_of(build_pipeline_plan(pipeline, {}))
    assert [(node.name, node.state) for node in graph.nodes] == [("a", NodeState.WAITING), ("b", NodeState.WAITING)]
    assert graph.edges == [GraphEdge(parent="a", child="b", artifacts=[])]


def a_row(item: int | None, state: NodeState = NodeState.SUCCEEDED, **more: object) -> NodeRun:
    values = {
        "project_id": "p", "pipeline_run_id": "r", "place": item or 0, "node": "train", "item": item,
        "parameters": {"depth": item, "trees": 60}, "state": state, **more,
    }  # fmt: skip
    return NodeRun(**values)  # type: ignore[arg-type]  # fields by name


def test_a_sweep_is_a_table_of_what_differs_and_what_came_out() -> None:
    rows = [a_row(0, metrics={"loss": 0.5}), a_row(1, NodeState.FAILED, reason="boom"), a_row(2, metrics={"acc": 1.0})]
    whole, (head, body) = tables(rows)
    assert whole[0] == ["node", "item", "state", "reason"]
    assert head == ["train", "depth", "state", "acc", "loss"]
    assert body == [
        ["0", "0", "✓ succeeded", "", "0.5"], ["1", "1", "✗ failed", "", ""], ["2", "2", "✓ succeeded", "1", ""],
    ]  # fmt: skip


def test_a_pipeline_run_is_told_as_text_and_as_html_without_markup_of_others() -> None:
    run = decode_json((GOLDEN / "PipelineRun.json").read_bytes(), PipelineRun)
    story = PipelineStory(
        run=msgspec.structs.replace(run, name="<b>wine</b>"), nodes=[a_row(None, reason="<i>\x1b[0m")]
    )
    assert "train" in as_text(story)
    assert "\x1b" not in as_text(story)
    assert "<i>" not in as_html(story)
    assert "&lt;b&gt;wine" in as_html(story)
