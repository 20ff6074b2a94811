# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An edge leads from a node that exists to another one, carries what the first one promises, and never back.

A cycle is told as the path one would walk, because a list of its nodes does not say which edge to remove.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches

from animus_contracts.pipeline_plans import fan_out, parents_of, topological
from animus_contracts.pipelines import ArtifactOf, Node, Pipeline, When
from animus_contracts.problems import Fault


def edge_faults(pipeline: Pipeline) -> list[Fault]:
    """Find what is wrong with the edges of a pipeline."""
    faults: list[Fault] = []
    for name, node in pipeline.nodes.items():
        faults += _end_faults(name, node, pipeline)
        for wanted_as, source in node.inputs.items():
            faults += _artifact_faults(f"$.nodes.{name[:80]}.inputs.{wanted_as[:80]}", source, pipeline)
    if any(fault.code == "self_reference" for fault in faults):
        return faults  # every such edge is a cycle, and has been told
    parents = parents_of(pipeline)
    if cycle := _cycle(parents):
        words = f"the nodes wait for each other: {' → '.join(cycle)}"
        remedy = (
            f"Remove one of these edges, for example {cycle[-1]!r} from what {cycle[-2]!r} is made of or waits for."
        )
        return [*faults, Fault(path=f"$.nodes.{cycle[0]}", code="cycle", message=words, remedy=remedy)]
    return faults + _condition_faults(pipeline, parents)


def _end_faults(name: str, node: Node, pipeline: Pipeline) -> Iterator[Fault]:
    ends = [(f"after[{index}]", other) for index, other in enumerate(node.after)]
    ends += [(f"inputs.{wanted_as[:80]}", source.node) for wanted_as, source in node.inputs.items()]
    ends += [("when.node", node.when.node)] if node.when else []
    for place, other in ends:
        path = f"$.nodes.{name[:80]}.{place}"
        if other == name:
            words = f"{name[:80]!r} cannot wait for itself"
            yield Fault(path=path, code="self_reference", message=words, remedy="Remove it, or name another node.")
        elif other not in pipeline.nodes:
            close = get_close_matches(other[:80], list(pipeline.nodes), 1)
            remedy = f"Did you mean {close[0]!r}?" if close else "Add the node, or name one that exists."
            yield Fault(path=path, code="unknown_node", message=f"there is no node {other[:80]!r}", remedy=remedy)


def _artifact_faults(path: str, source: ArtifactOf, pipeline: Pipeline) -> Iterator[Fault]:
    node = pipeline.nodes.get(source.node)
    if node is None:
        return
    if source.artifact not in node.outputs:
        words = f"{source.node!r} does not declare the output {source.artifact[:80]!r}"
        close = get_close_matches(source.artifact[:80], node.outputs, 1)
        remedy = f"Did you mean {close[0]!r}?" if close else f"Add it to $.nodes.{source.node}.outputs."
        yield Fault(path=path, code="dangling_artifact", message=words, remedy=remedy)
    if node.sweep is None and (source.item is not None or source.best is not None):
        words = f"{source.node!r} is no sweep and has no items"
        yield Fault(path=path, code="not_a_sweep", message=words, remedy="Remove `item` and `best`.")
    elif node.sweep and (source.item is None) == (source.best is None):
        words = f"{source.node!r} is a sweep: say which item's artifact is meant"
        remedy = "Write either `item: 0` or `best: {metric: NAME, prefer: highest}`."
        yield Fault(path=path, code="which_item", message=words, remedy=remedy)
    elif node.sweep and source.item is not None and not 0 <= source.item < fan_out(node.sweep):
        words = f"{source.node!r} has items 0 to {fan_out(node.sweep) - 1}, and no item {source.item}"
        yield Fault(path=f"{path}.item", code="out_of_range", message=words)


def _condition_faults(pipeline: Pipeline, parents: Mapping[str, Sequence[str]]) -> list[Fault]:
    ancestors: dict[str, set[str]] = {}
    for name in topological(parents):
        ancestors[name] = set(parents[name]).union(*(ancestors[parent] for parent in parents[name]))
    return [
        fault
        for name, node in pipeline.nodes.items()
        if node.when and node.when.node in pipeline.nodes
        for fault in _when_faults(name, node.when, pipeline.nodes[node.when.node], ancestors[name])
    ]


def _when_faults(name: str, when: When, node: Node, ancestors: set[str]) -> Iterator[Fault]:
    path = f"$.nodes.{name[:80]}.when"
    if when.node not in ancestors:
        words = f"{when.node!r} is not an ancestor of {name[:80]!r}, so its metrics may not be known in time"
        remedy = f"Add {when.node!r} to $.nodes.{name[:80]}.after."
        yield Fault(path=f"{path}.node", code="not_an_ancestor", message=words, remedy=remedy)
    if node.sweep:
        words = f"{when.node!r} is a sweep, whose metric has a value for every item"
        yield Fault(path=f"{path}.node", code="when_on_sweep", message=words, remedy="Let a node choose the best item.")
    if (when.equals is None) == (when.at_least is None and when.at_most is None):
        words = "must have `equals`, or `at_least` or `at_most` or both of these"
        yield Fault(path=path, code="contradiction", message=words)


def _cycle(parents: Mapping[str, Sequence[str]]) -> list[str]:
    """Return a cycle as a path in the direction of the edges, ``[a, b, c, a]``; empty when there is none."""
    stuck = parents.keys() - set(topological(parents))
    if not stuck:
        return []
    # Whoever is stuck waits for somebody who is stuck, so walking back must come to a node for the second time.
    walked, name = list[str](), min(stuck)
    while name not in walked:
        walked.append(name)
        name = min(stuck.intersection(parents[name]))
    ring = walked[walked.index(name) :][::-1]
    first = ring.index(min(ring))
    return [*ring[first:], *ring[:first], ring[first]]
