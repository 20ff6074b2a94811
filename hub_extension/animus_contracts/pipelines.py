# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline as its file says it: notebooks as nodes, edges from the artifacts they use and from ``after``.

The structure is checked by decoding; whatever a person can get wrong in it is found by ``pipeline_plans``, all at once.
Bounds are therefore written into the published schema, and are no constraints of the types.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

MAX_FILE_BYTES = 256 * 1024
"""Size of the largest pipeline file."""

MAX_NODES = 1000
MAX_FAN_OUT = 256
"""Most items of one sweep."""

MAX_RUNS = 5000
"""Most runs of one pipeline run, items of sweeps counted."""

MAX_PARALLEL = 64
PIPELINE_SCHEMA_ID = "urn:animus:schema:pipeline:1"


class OnFailure(StrEnum):
    """What a failed node does to the others: stop them all, or only those that depend on it."""

    FAIL_FAST = "fail_fast"
    FINISH_INDEPENDENT = "finish_independent"


class Prefer(StrEnum):
    """Which value of a metric is better."""

    HIGHEST = "highest"
    LOWEST = "lowest"


class Best(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The item of a sweep whose metric is best; of equals the first."""

    metric: Annotated[str, Meta(description="A metric that every item may log; its last value counts.")]
    prefer: Prefer = Prefer.HIGHEST


class ArtifactOf(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """An artifact of another node, as an input; of a sweep one item's, by number or by metric."""

    node: Annotated[str, Meta(description="The node that makes it.")] = msgspec.field(name="from")
    artifact: Annotated[str, Meta(description="One of that node's outputs.")]
    item: Annotated[int | None, Meta(description="Which item of a sweep, counted from 0.")] = None
    best: Best | None = None


class When(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A condition on a metric of an ancestor; a node whose condition does not hold is skipped."""

    node: Annotated[str, Meta(description="The ancestor that logs the metric.")]
    metric: Annotated[str, Meta(description="The metric; its last value counts.")]
    at_least: float | None = None
    at_most: float | None = None
    equals: float | None = None


class Demands(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What a node may use; whatever is not said is the environment's limit. See ``Resources`` for the units."""

    cpus: float | None = None
    memory_mib: int | None = None
    gpus: int | None = None
    wall_seconds: int | None = None
    file_mib: int | None = None
    processes: int | None = None


class Sweep(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A node over many values: each combination of a grid, or each entry of ``items``, is an item with its own run."""

    grid: Annotated[dict[str, list[Any]], Meta(description="Values by parameter; every combination is run.")] = {}
    items: Annotated[list[dict[str, Any]], Meta(description="Parameters of each item.")] = []


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A notebook with everything it needs; each execution of it is an ordinary run."""

    notebook: Annotated[str, Meta(description="Path of the notebook, relative to the pipeline file's folder.")]
    parameters: Annotated[
        dict[str, Any],
        Meta(description="Values by name; ``${parameters.NAME}`` is the pipeline's parameter of this name."),
    ] = {}
    datasets: Annotated[dict[str, str], Meta(description="Dataset versions (``wine@3``) by the notebook's name.")] = {}
    inputs: Annotated[dict[str, ArtifactOf], Meta(description="Artifacts by the notebook's name.")] = {}
    environment: Annotated[str, Meta(description="Environment; the pipeline's when absent.")] = ""
    resources: Demands | None = None
    outputs: Annotated[list[str], Meta(description="Files the run must produce; others may use them.")] = []
    retries: Annotated[
        int,
        Meta(
            description="How often a failure of the infrastructure is retried.",
            extra_json_schema={"minimum": 0, "maximum": 5},
        ),
    ] = 0
    seed: Annotated[int | None, Meta(description="Seed of the run.")] = None
    after: Annotated[list[str], Meta(description="Nodes to wait for besides those whose artifacts are used.")] = []
    when: When | None = None
    sweep: Sweep | None = None


class Pipeline(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A pipeline file."""

    name: Annotated[str, Meta(description="What the pipeline is called.")]
    nodes: Annotated[
        dict[str, Node],
        Meta(description="Nodes by name.", extra_json_schema={"minProperties": 1, "maxProperties": MAX_NODES}),
    ]
    description: str = ""
    parameters: Annotated[dict[str, Any], Meta(description="The pipeline's own parameters, with their defaults.")] = {}
    environment: Annotated[str, Meta(description="Environment of every node that names none.")] = ""
    max_parallel: Annotated[
        int,
        Meta(
            description="How many runs there may be at a time.",
            extra_json_schema={"minimum": 1, "maximum": MAX_PARALLEL},
        ),
    ] = 4
    on_failure: OnFailure = OnFailure.FINISH_INDEPENDENT


def pipeline_schema() -> dict[str, Any]:
    """Return the JSON Schema of a pipeline file, for editors."""
    (schema,), components = msgspec.json.schema_components([Pipeline], ref_template="#/$defs/{name}")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": PIPELINE_SCHEMA_ID}
    return {**head, **schema, "$defs": components}
