# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens next in a pipeline run follows from its plan and from where its nodes are, and from nothing else.

A node starts when all its parents are good and its condition holds. It is skipped, with the reason, as soon as it is
certain that it never will. The run ends when nothing waits and nothing runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from animus_contracts.pipeline_plans import PipelinePlan, PlannedNode
from animus_contracts.pipeline_runs import (
    GOOD_STATES,
    OPEN_NODES,
    GraphNode,
    NodeRun,
    NodeState,
    PipelineState,
    state_of_node,
)
from animus_contracts.pipelines import ArtifactOf, Best, OnFailure, Prefer, When

BAD = frozenset({NodeState.FAILED, NodeState.CANCELED})
TOLD = {NodeState.FAILED: "failed", NodeState.CANCELED: "was canceled", NodeState.SKIPPED: "was skipped"}
CANCELED = "the pipeline run was canceled"

Rows = Mapping[str, Sequence[NodeRun]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Steps:
    """What to do next.

    Attributes:
        dropped: Runs of nodes that will never start, each with the state it gets and the reason.
        ready: Those to submit now; no more than there is room for.
        to_stop: Those that run and must not.
        end: How the whole ends, when it does.
        reason: Why it ends so.
    """

    dropped: list[tuple[NodeRun, NodeState, str]]
    ready: list[NodeRun]
    to_stop: list[NodeRun]
    end: PipelineState | None
    reason: str


def next_steps(plan: PipelinePlan, rows: Sequence[NodeRun], *, canceling: bool) -> Steps:
    """Decide what to do next.

    Args:
        plan: The plan.
        rows: All runs of its nodes, as they are.
        canceling: Whether somebody wants the whole to stop.
    """
    stop = CANCELED if canceling else _first_failure(plan, rows)
    dropped, ready = _sorted_out(plan, rows, stop, NodeState.CANCELED if canceling else NodeState.SKIPPED)
    running = [row for row in rows if row.state is NodeState.RUNNING]
    waiting = sum(row.state is NodeState.WAITING for row in rows) - len(dropped)
    end, reason = (None, "") if running or waiting else _end(rows, dropped, canceling=canceling)
    room = max(0, plan.max_parallel - len(running))
    return Steps(dropped=dropped, ready=ready[:room], to_stop=running if stop else [], end=end, reason=reason)


def source_of(source: ArtifactOf, rows: Rows) -> NodeRun | str:
    """Return the run whose artifact an input means, or why there is none."""
    candidates = rows[source.node]
    if source.best is not None:
        return _best(source.node, source.best, candidates)
    return candidates[source.item or 0]


def by_node(rows: Sequence[NodeRun]) -> dict[str, list[NodeRun]]:
    """Return runs by the node they belong to, items in their order."""
    found: dict[str, list[NodeRun]] = {}
    for row in rows:
        found.setdefault(row.node, []).append(row)
    return found


def counts(rows: Sequence[NodeRun]) -> dict[NodeState, int]:
    """Return how many runs are in each state that has any, in the order of the states."""
    found = Counter(row.state for row in rows)
    return {state: found[state] for state in NodeState if found[state]}


def graph_nodes(nodes: Sequence[PlannedNode], rows: Rows) -> list[GraphNode]:
    """Return nodes as a picture shows them."""
    return [
        GraphNode(
            name=node.name,
            notebook=node.notebook,
            state=state_of_node(row.state for row in rows[node.name]),
            counts=counts(rows[node.name]),
            run_ids=[row.run_id for row in rows[node.name] if row.run_id],
            reason=next((row.reason for row in rows[node.name] if row.reason), ""),
        )
        for node in nodes
    ]


def _first_failure(plan: PipelinePlan, rows: Sequence[NodeRun]) -> str:
    bad = next((row for row in rows if row.state in BAD), None)
    if bad is None or plan.on_failure is OnFailure.FINISH_INDEPENDENT:
        return ""
    return f"{label(bad)} {TOLD[bad.state]}, and this pipeline stops at the first failure"


def _sorted_out(
    plan: PipelinePlan, rows: Sequence[NodeRun], stop: str, stopped: NodeState
) -> tuple[list[tuple[NodeRun, NodeState, str]], list[NodeRun]]:
    nodes = by_node(rows)
    states = {name: [row.state for row in found] for name, found in nodes.items()}
    dropped: list[tuple[NodeRun, NodeState, str]] = []
    ready = []
    for node in plan.nodes:  # parents first, so that what is skipped is known to those below
        waiting = [row for row in nodes[node.name] if row.state is NodeState.WAITING]
        if not waiting:
            continue
        reason = stop or _obstacle(node, nodes, states)
        if reason:
            state = stopped if stop else NodeState.SKIPPED
            dropped += [(row, state, reason) for row in waiting]
            states[node.name] = [state if old is NodeState.WAITING else old for old in states[node.name]]
        elif reason is not None:
            ready += waiting
    return dropped, ready


def _obstacle(node: PlannedNode, nodes: Rows, states: Mapping[str, Sequence[NodeState]]) -> str | None:
    """Return why a node will never start, nothing when it may start now, None when that is still open."""
    open_parents = False
    for parent in node.parents:
        found = states[parent]
        bad = next((state for state in found if state not in GOOD_STATES | OPEN_NODES), None)
        if bad is not None:
            return f"{parent} {TOLD[bad]}"
        open_parents |= any(state in OPEN_NODES for state in found)
    if open_parents:
        return None
    return _unmet(node.when, nodes) if node.when else ""


def _unmet(when: When, nodes: Rows) -> str:
    value = nodes[when.node][0].metrics.get(when.metric)
    if value is None:
        return f"{when.node} logged no metric {when.metric!r}"
    told = f"{when.metric} of {when.node} is {value:.6g}"
    if when.equals is not None and value != when.equals:
        return f"{told}, and must be {when.equals:.6g}"
    if when.at_least is not None and value < when.at_least:
        return f"{told}, and must be at least {when.at_least:.6g}"
    if when.at_most is not None and value > when.at_most:
        return f"{told}, and must be at most {when.at_most:.6g}"
    return ""


def _best(name: str, best: Best, candidates: Sequence[NodeRun]) -> NodeRun | str:
    sign = 1 if best.prefer is Prefer.HIGHEST else -1
    known = [row for row in candidates if best.metric in row.metrics]
    # max keeps the first of equals, so the choice does not depend on which item ended first.
    found = max(known, key=lambda row: sign * row.metrics[best.metric], default=None)
    return found or f"no item of {name} logged the metric {best.metric!r}"


def _end(
    rows: Sequence[NodeRun], dropped: Sequence[tuple[NodeRun, NodeState, str]], *, canceling: bool
) -> tuple[PipelineState, str]:
    bad = [row for row in rows if row.state in BAD]
    if canceling and (dropped or any(row.state is NodeState.CANCELED for row in bad)):
        return PipelineState.CANCELED, CANCELED
    if not bad:
        return PipelineState.SUCCEEDED, ""
    more = f" (and {len(bad) - 1} more)" if len(bad) > 1 else ""
    return PipelineState.FAILED, f"{label(bad[0])} {TOLD[bad[0].state]}{more}"


def label(row: NodeRun) -> str:
    """Return what a run of a node is called: ``train``, or ``train[2]`` for an item of a sweep."""
    return row.node if row.item is None else f"{row.node}[{row.item}]"
