# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A plan is a pipeline with every reference resolved, in one order and with one hash, whoever computes it.

Nodes come in topological order, ties by name; each item of a sweep has its own parameters. Client and control plane
plan with the same function, so what is shown before a submission is what is run after it.
"""

from __future__ import annotations

import heapq
import itertools
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from animus_contracts.digests import Digest, digest_of, typed
from animus_contracts.pipelines import ArtifactOf, Demands, Node, OnFailure, Pipeline, Sweep, When

PIPELINE_HASH_VERSION = "animus.pipeline.v1"
REFERENCE = re.compile(r"\$\{parameters\.([A-Za-z_][A-Za-z0-9_]{0,63})\}")
"""A pipeline's own parameter; it must be the whole value, so that its type is kept."""


class PlannedNode(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A node as it will be run.

    Attributes:
        name: Its name.
        notebook: Path relative to the pipeline file's folder.
        environment: Name of the environment.
        parents: Nodes it waits for, by name.
        items: Parameters of each of its runs; one, unless it is a sweep.
        is_sweep: Whether its runs are items of a sweep, however many there are.
    """

    name: str
    notebook: str
    environment: str
    parents: list[str]
    items: list[dict[str, Any]]
    is_sweep: bool = False
    datasets: dict[str, str] = {}
    inputs: dict[str, ArtifactOf] = {}
    resources: Demands | None = None
    outputs: list[str] = []
    retries: int = 0
    seed: int | None = None
    when: When | None = None


class PipelinePlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A pipeline as it will be run; nodes in topological order, ties by name."""

    name: str
    max_parallel: int
    on_failure: OnFailure
    nodes: list[PlannedNode]


def plan_hash(plan: PipelinePlan) -> Digest:
    """Return the digest of a plan; its numbers count with their exact types."""
    return digest_of(typed(msgspec.to_builtins(plan)), version=PIPELINE_HASH_VERSION)


def build_pipeline_plan(pipeline: Pipeline, parameters: Mapping[str, Any]) -> PipelinePlan:
    """Build the plan of a pipeline without faults.

    Args:
        pipeline: The pipeline; ``pipeline_rules.pipeline_faults`` finds nothing in it.
        parameters: Values for the pipeline's parameters, in place of their defaults.
    """
    parents = parents_of(pipeline)
    values = {**pipeline.parameters, **parameters}
    planned = [_planned(name, pipeline, parents[name], values) for name in topological(parents)]
    return PipelinePlan(
        name=pipeline.name, max_parallel=pipeline.max_parallel, on_failure=pipeline.on_failure, nodes=planned
    )


def parents_of(pipeline: Pipeline) -> dict[str, list[str]]:
    """Return the nodes that each node waits for, by name and in order; those that do not exist are left out."""
    found = {}
    for name, node in pipeline.nodes.items():
        named = {*node.after, *(source.node for source in node.inputs.values())}
        found[name] = sorted(named & pipeline.nodes.keys())
    return found


def topological(parents: Mapping[str, Iterable[str]]) -> list[str]:
    """Return nodes so that parents come first, ties by name (Kahn); nodes in or behind a cycle are left out."""
    open_parents = {name: set(named) for name, named in parents.items()}
    children: dict[str, list[str]] = {name: [] for name in parents}
    for name, named in open_parents.items():
        for parent in named:
            children[parent].append(name)
    ready = [name for name, named in open_parents.items() if not named]
    heapq.heapify(ready)
    order = []
    while ready:
        name = heapq.heappop(ready)
        order.append(name)
        for child in children[name]:
            open_parents[child].discard(name)
            if not open_parents[child]:
                heapq.heappush(ready, child)
    return order


def fan_out(sweep: Sweep) -> int:
    """Return how many items a sweep has, without making them."""
    count = 1
    for values in sweep.grid.values():
        count *= len(values)
    return count if sweep.grid else len(sweep.items)


def sweep_items(sweep: Sweep) -> list[dict[str, Any]]:
    """Return the parameters that each item sets: a grid's combinations, the last parameter by name changing fastest."""
    if not sweep.grid:
        return list(sweep.items)
    names = sorted(sweep.grid)
    return [
        dict(zip(names, values, strict=True)) for values in itertools.product(*(sweep.grid[name] for name in names))
    ]


def resolved(parameters: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Put the pipeline's parameters where they are referred to."""
    return {name: values[match[1]] if (match := reference(value)) else value for name, value in parameters.items()}


def reference(value: Any) -> re.Match[str] | None:
    """Return the reference that a value is, or None."""
    return REFERENCE.fullmatch(value) if isinstance(value, str) else None


def _planned(name: str, pipeline: Pipeline, parents: list[str], values: Mapping[str, Any]) -> PlannedNode:
    node: Node = pipeline.nodes[name]
    each = sweep_items(node.sweep) if node.sweep else [{}]
    return PlannedNode(
        name=name,
        notebook=node.notebook,
        environment=node.environment or pipeline.environment,
        parents=parents,
        items=[resolved({**node.parameters, **item}, values) for item in each],
        is_sweep=node.sweep is not None,
        datasets=node.datasets,
        inputs=node.inputs,
        resources=node.resources,
        outputs=node.outputs,
        retries=node.retries,
        seed=node.seed,
        when=node.when,
    )
