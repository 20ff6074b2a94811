# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline as a picture: pure, every node exactly once, readable without its colours.

Columns are layers: a node stands one to the right of the last of its parents. Within a layer nodes are ordered by where
their parents are, which keeps most edges from crossing. A state is told by a word and a sign as well as by a colour.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from animus.story import plain
from animus_contracts.pipeline_plans import PipelinePlan
from animus_contracts.pipeline_runs import GraphEdge, GraphNode, NodeState, PipelineGraph, PipelineState, edges_of

WIDTH, HEIGHT, LANE = 184, 52, 12
GAP_X, GAP_Y, MARGIN = 64, 18, 16
MOST_LANES = 2000
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
Lane = tuple[str, str, int]
"""Parent, child, and the layer in which their edge passes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The upper left corner of each node, and where each edge enters the layers it leaps over."""

    places: Mapping[str, Point]
    bends: Mapping[tuple[str, str], Sequence[Point]]


def svg(graph: PipelineGraph) -> str:
    """Return a pipeline as an SVG document with a title and a description."""
    drawn = layout(graph)
    corners = [*drawn.places.values(), *((x, y - HEIGHT // 2) for bends in drawn.bends.values() for x, y in bends)]
    width = max(x for x, _ in corners) + WIDTH + MARGIN
    height = max(y for _, y in corners) + HEIGHT + MARGIN
    told = f"{len(graph.nodes)} nodes: " + ", ".join(f"{node.name} {_words(node)}" for node in graph.nodes)
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} font-family="sans-serif" aria-labelledby="t d">',
        f'<title id="t">{_safe(f"Pipeline {graph.name}: {graph.state}")}</title>',
        f'<desc id="d">{_safe(told)}</desc>',
        ARROW,
    ]
    parts += [_edge(edge, drawn) for edge in graph.edges]
    parts += [_node(node, drawn.places[node.name]) for node in graph.nodes]
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


def layout(graph: PipelineGraph) -> Layout:
    """Return where everything is.

    An edge that leaps over layers gets a lane of its own in each of them, so that it runs behind no node; a graph with
    more such lanes than :data:`MOST_LANES` goes without.
    """
    parents = _parents(graph)
    layer_of: dict[str, int] = {}
    for node in graph.nodes:  # parents come first
        layer_of[node.name] = 1 + max((layer_of[parent] for parent in parents[node.name]), default=-1)
    layers: list[list[str | Lane]] = [[] for _ in range(1 + max(layer_of.values()))]
    for name, layer in layer_of.items():
        layers[layer].append(name)
    lanes = [
        (edge.parent, edge.child, layer)
        for edge in graph.edges
        for layer in range(layer_of[edge.parent] + 1, layer_of[edge.child])
    ]
    for lane in lanes if len(lanes) <= MOST_LANES else ():
        layers[lane[2]].append(lane)
    middles: dict[str | Lane, float] = {}
    for slots in layers:
        slots.sort(key=lambda slot: (_mean(middles[one] for one in _before(slot, parents, middles)), str(slot)))
        middles |= _stacked(slots)
    top = min(middle - _height(slot) / 2 for slot, middle in middles.items())
    places = {name: _corner(layer, middles[name] - top) for name, layer in layer_of.items()}
    bends: dict[tuple[str, str], list[Point]] = {}
    for slot, middle in middles.items():
        if not isinstance(slot, str):
            x, y = _corner(slot[2], middle - top)
            bends.setdefault(slot[:2], []).append((x, y + HEIGHT // 2))
    return Layout(places=places, bends=bends)


def _parents(graph: PipelineGraph) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {node.name: [] for node in graph.nodes}
    for edge in graph.edges:
        found[edge.child].append(edge.parent)
    return found


def _before(
    slot: str | Lane, parents: Mapping[str, Sequence[str]], middles: Mapping[str | Lane, float]
) -> Iterator[str | Lane]:
    """Yield what stands to the left of a slot and leads to it: nodes, or lanes of edges from further away."""
    pairs = [(parent, slot, None) for parent in parents[slot]] if isinstance(slot, str) else [slot]
    for parent, child, layer in pairs:
        nearest = (lane for lane in middles if not isinstance(lane, str) and lane[:2] == (parent, child))
        lane = (parent, child, layer - 1) if layer else max(nearest, key=lambda lane: lane[2], default=parent)
        yield lane if lane in middles else parent


def _stacked(slots: Sequence[str | Lane]) -> dict[str | Lane, float]:
    """Return the middle of each slot of a layer, the layer's own middle being 0."""
    y = -(sum(map(_height, slots)) + GAP_Y * (len(slots) - 1)) / 2
    found = {}
    for slot in slots:
        found[slot] = y + _height(slot) / 2
        y += _height(slot) + GAP_Y
    return found


def _height(slot: str | Lane) -> int:
    return HEIGHT if isinstance(slot, str) else LANE


def _corner(layer: int, middle: float) -> Point:
    return MARGIN + layer * (WIDTH + GAP_X), MARGIN + round(middle) - HEIGHT // 2


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


def _edge(edge: GraphEdge, drawn: Layout) -> str:
    (left, top), (right, below) = drawn.places[edge.parent], drawn.places[edge.child]
    x, y = left + WIDTH, top + HEIGHT // 2
    path = f"M{x} {y}"
    for to_x, to_y in [*drawn.bends.get((edge.parent, edge.child), []), (right, below + HEIGHT // 2)]:
        half = max(GAP_X // 2, (to_x - x) // 2)
        path += f"C{x + half} {y} {to_x - half} {to_y} {to_x} {to_y}"
        x, y = to_x + WIDTH, to_y
        path += f"H{x}" if to_x != right else ""
    carried = f"<title>{_safe(', '.join(edge.artifacts))}</title>" if edge.artifacts else ""
    dashed = "" if edge.artifacts else ' stroke-dasharray="3 3"'
    look = f'fill="none" stroke="#757575" stroke-width="1.3"{dashed} marker-end="url(#arrow)"'
    return f'<path class="edge" d="{path}" {look}>{carried}</path>'


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
