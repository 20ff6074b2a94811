# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline as a picture: pure, every node exactly once, readable without its colours.

Columns are layers: a node stands one to the right of the last of its parents. Within a layer nodes are ordered by where
their parents are, which keeps most edges from crossing. A state is told by a word and a sign as well as by a colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape

from animus.story import plain
from animus_contracts.pipeline_plans import PipelinePlan
from animus_contracts.pipeline_runs import GraphEdge, GraphNode, NodeState, PipelineGraph, PipelineState, edges_of

WIDTH, HEIGHT = 184, 52
GAP_X, GAP_Y, MARGIN = 64, 18, 16
LONGEST = 24
"""How many characters of a name fit a box."""

ARROW = (
    '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path d="M0 0 8 4 0 8z" fill="#757575"/></marker></defs>'
)

LOOKS: Mapping[NodeState, tuple[str, str, str]] = {
    NodeState.WAITING: ("○", "#616161", "#f5f5f5"),
    NodeState.RUNNING: ("▶", "#1565c0", "#e3f2fd"),
    NodeState.SUCCEEDED: ("✓", "#2e7d32", "#e8f5e9"),
    NodeState.FAILED: ("✗", "#c62828", "#ffebee"),
    NodeState.SKIPPED: ("↷", "#757575", "#fafafa"),
    NodeState.CANCELED: ("■", "#6d4c41", "#efebe9"),
    NodeState.REUSED: ("↺", "#2e7d32", "#f1f8e9"),
}
"""Sign, colour of line and text, and background of each state."""

Point = tuple[int, int]


def svg(graph: PipelineGraph) -> str:
    """Return a pipeline as an SVG document with a title and a description."""
    places = layout(graph)
    width = max(x for x, _ in places.values()) + WIDTH + MARGIN
    height = max(y for _, y in places.values()) + HEIGHT + MARGIN
    told = f"{len(graph.nodes)} nodes: " + ", ".join(f"{node.name} {_words(node)}" for node in graph.nodes)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} font-family="sans-serif" aria-labelledby="t d">',
        f'<title id="t">{_safe(f"Pipeline {graph.name}: {graph.state}")}</title>',
        f'<desc id="d">{_safe(told)}</desc>',
        ARROW,
    ]
    parts += [_edge(edge, places) for edge in graph.edges]
    parts += [_node(node, places[node.name]) for node in graph.nodes]
    return "\n".join([*parts, "</svg>"]) + "\n"


def mermaid(graph: PipelineGraph) -> str:
    """Return a pipeline as a Mermaid flowchart."""
    number = {node.name: f"n{index}" for index, node in enumerate(graph.nodes)}
    lines = ["flowchart LR"]
    lines += [
        f'  {number[node.name]}["{_label(node.name)}<br/>{_label(_words(node))}"]:::{node.state}'
        for node in graph.nodes
    ]
    for edge in graph.edges:
        carried = f'|"{_label(", ".join(edge.artifacts))}"|' if edge.artifacts else ""
        lines.append(f"  {number[edge.parent]} -->{carried} {number[edge.child]}")
    lines += [
        f"  classDef {state} fill:{fill},stroke:{colour},color:{colour}" for state, (_, colour, fill) in LOOKS.items()
    ]
    return "\n".join(lines) + "\n"


def layout(graph: PipelineGraph) -> dict[str, Point]:
    """Return where the upper left corner of each node is."""
    parents: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for edge in graph.edges:
        parents[edge.child].append(edge.parent)
    layers: list[list[str]] = []
    layer_of: dict[str, int] = {}
    for node in graph.nodes:  # parents come first
        layer = 1 + max((layer_of[parent] for parent in parents[node.name]), default=-1)
        layer_of[node.name] = layer
        layers += [[] for _ in range(layer + 1 - len(layers))]
        layers[layer].append(node.name)
    rank: dict[str, float] = {}
    for names in layers:
        names.sort(key=lambda name: (_mean(rank[parent] for parent in parents[name]), name))
        rank |= {name: index - (len(names) - 1) / 2 for index, name in enumerate(names)}
    tallest = max(map(len, layers))
    middle = MARGIN + (tallest - 1) * (HEIGHT + GAP_Y) / 2
    return {
        name: (MARGIN + layer_of[name] * (WIDTH + GAP_X), round(middle + rank[name] * (HEIGHT + GAP_Y)))
        for name in parents
    }


def graph_of(plan: PipelinePlan) -> PipelineGraph:
    """Return a pipeline that was not submitted as a graph in which everything waits."""
    return PipelineGraph(
        pipeline_run_id="",  # type: ignore[arg-type]  # there is no pipeline run
        name=plan.name,
        state=PipelineState.RUNNING,
        version=0,
        nodes=[
            GraphNode(
                name=node.name,
                notebook=node.notebook,
                state=NodeState.WAITING,
                counts={NodeState.WAITING: len(node.items)},
                run_ids=[],
                reason="",
            )
            for node in plan.nodes
        ],
        edges=edges_of(plan.nodes),
        offset=0,
        total=len(plan.nodes),
    )


def progress_of(counts: Mapping[NodeState, int]) -> str:
    """Return counts as words: ``2 succeeded, 1 running``."""
    return ", ".join(f"{count} {state}" for state, count in counts.items())


def _words(node: GraphNode) -> str:
    sign = LOOKS[node.state][0]
    total = sum(node.counts.values())
    return f"{sign} {node.state}" if total == 1 else f"{sign} {total} items: {progress_of(node.counts)}"


def _node(node: GraphNode, place: Point) -> str:
    x, y = place
    _, colour, fill = LOOKS[node.state]
    dashed = ' stroke-dasharray="5 4"' if node.state in {NodeState.SKIPPED, NodeState.WAITING} else ""
    hover = _safe("\n".join(filter(None, (node.name, node.notebook, _words(node), node.reason))))
    return (
        f'<g class="node {node.state}"><title>{hover}</title>'
        f'<rect x="{x}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="6" fill="{fill}" stroke="{colour}" '
        f'stroke-width="1.5"{dashed}/>'
        f'<text x="{x + 12}" y="{y + 21}" font-size="13" font-weight="600" fill="#212121">{_safe(_cut(node.name))}'
        f"</text>"
        f'<text x="{x + 12}" y="{y + 40}" font-size="12" fill="{colour}">{_safe(_cut(_words(node)))}</text></g>'
    )


def _edge(edge: GraphEdge, places: Mapping[str, Point]) -> str:
    (left, top), (right, below) = places[edge.parent], places[edge.child]
    x1, y1, x2, y2 = left + WIDTH, top + HEIGHT // 2, right, below + HEIGHT // 2
    half = max(GAP_X // 2, (x2 - x1) // 2)
    carried = f"<title>{_safe(', '.join(edge.artifacts))}</title>" if edge.artifacts else ""
    dashed = "" if edge.artifacts else ' stroke-dasharray="3 3"'
    return (
        f'<path d="M{x1} {y1}C{x1 + half} {y1} {x2 - half} {y2} {x2} {y2}" fill="none" stroke="#757575" '
        f'stroke-width="1.3"{dashed} marker-end="url(#arrow)">{carried}</path>'
    )


def _mean(values: Iterable[float]) -> float:
    found: Sequence[float] = list(values)
    return sum(found) / len(found) if found else 0.0


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"


def _safe(text: str) -> str:
    return escape(plain(text), quote=True)


def _label(text: str) -> str:
    """Return a text as Mermaid takes it inside quotes."""
    return escape(plain(text).replace("#", "#35;"), quote=False).replace('"', "#quot;").replace("\n", " ")
