# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything that can be wrong with a pipeline is found at once, each fault with its place and the way to mend it.

Nothing is expanded before its size is known, so a sweep over a million combinations costs no more than its refusal.
What exists in a project (environments, datasets) is checked where it is known, and not where it is not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import msgspec

from animus_contracts.digests import NotCanonicalError, canonical, typed
from animus_contracts.environments import Resources
from animus_contracts.identifiers import BINDING_NAME, RESOURCE_NAME
from animus_contracts.parameters import Parameter, parameter_faults
from animus_contracts.paths import path_fault
from animus_contracts.pipeline_edges import edge_faults
from animus_contracts.pipeline_plans import PlannedNode, fan_out, reference, sweep_items
from animus_contracts.pipelines import MAX_FAN_OUT, MAX_NODES, MAX_PARALLEL, MAX_RUNS, Node, Pipeline, Sweep
from animus_contracts.problems import Fault

MAX_TEXT = 4096
MAX_RETRIES = 5
MAX_SEED = 2**32 - 1
MAX_BINDINGS = 64
MAX_OUTPUTS = 256
DATASET_REFERENCE = re.compile(rf"({RESOURCE_NAME.pattern})(?:@([1-9][0-9]{{0,8}}))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a project has.

    Attributes:
        environments: The limits of each locked environment, by name.
        datasets: The number of the newest version of each dataset, by name; 0 when it has none.
    """

    environments: Mapping[str, Resources]
    datasets: Mapping[str, int]


def pipeline_faults(
    pipeline: Pipeline, parameters: Mapping[str, Any], surroundings: Surroundings | None = None
) -> list[Fault]:
    """Find everything that is wrong with a pipeline.

    Args:
        pipeline: The pipeline.
        parameters: Values for its parameters, in place of their defaults.
        surroundings: What the project has; None where that is not known.

    Returns:
        The faults, in the order of the file; empty when the pipeline can be planned.
    """
    if not 0 < len(pipeline.nodes) <= MAX_NODES:
        words = f"must have 1 to {MAX_NODES} nodes, not {len(pipeline.nodes)}"
        return [Fault(path="$.nodes", code="too_many" if pipeline.nodes else "empty", message=words)]
    faults = [*_own_faults(pipeline, parameters)]
    for name, node in pipeline.nodes.items():
        faults += _Node(name, node, pipeline, parameters).faults()
        faults += _surrounding_faults(name, node, pipeline, surroundings) if surroundings else ()
    runs = sum(fan_out(node.sweep) if node.sweep else 1 for node in pipeline.nodes.values())
    if runs > MAX_RUNS and not any(fault.code == "fan_out_over_limit" for fault in faults):
        words = f"the pipeline would make {runs} runs; it may make {MAX_RUNS}"
        faults.append(Fault(path="$.nodes", code="too_many_runs", message=words, remedy="Split the pipeline."))
    return faults + edge_faults(pipeline)


def schema_faults(node: PlannedNode, schema: list[Parameter]) -> list[Fault]:
    """Find what a node gives its notebook that the notebook does not declare, or declares otherwise."""
    faults: list[Fault] = []
    for number, item in enumerate(node.items):
        place = f"$.nodes.{node.name}" + (f".sweep[{number}]" if node.is_sweep else "")
        faults += [
            msgspec.structs.replace(fault, path=place + fault.path.removeprefix("$"))
            for fault in parameter_faults(schema, item)
        ]
    return faults


def _own_faults(pipeline: Pipeline, parameters: Mapping[str, Any]) -> Iterator[Fault]:
    if not RESOURCE_NAME.fullmatch(pipeline.name):
        yield _bad_name("$.name", pipeline.name)
    if len(pipeline.description) > MAX_TEXT:
        yield Fault(path="$.description", code="too_long", message=f"must be at most {MAX_TEXT} characters")
    yield from _range_faults("$.max_parallel", pipeline.max_parallel, 1, MAX_PARALLEL)
    for name in pipeline.parameters:
        if not BINDING_NAME.fullmatch(name):
            yield _bad_binding("$.parameters", name)
    for name in parameters.keys() - pipeline.parameters.keys():
        words = f"the pipeline has no parameter {name[:80]!r}"
        remedy = _close(name, pipeline.parameters, "its parameters are")
        yield Fault(path=f"$.parameters.{name[:80]}", code="unknown_parameter", message=words, remedy=remedy)
    for name, value in {**pipeline.parameters, **parameters}.items():
        yield from _value_faults(f"$.parameters.{name[:80]}", value)


class _Node:
    """One node, with what its rules need."""

    def __init__(self, name: str, node: Node, pipeline: Pipeline, parameters: Mapping[str, Any]) -> None:
        self.name, self.node, self.path = name, node, f"$.nodes.{name[:80]}"
        self.known = {**pipeline.parameters, **parameters}
        self.environment = node.environment or pipeline.environment

    def faults(self) -> Iterator[Fault]:
        """Find what is wrong with the node by itself."""
        if not RESOURCE_NAME.fullmatch(self.name):
            yield _bad_name(self.path, self.name)
        yield from self._notebook()
        yield from self._values(f"{self.path}.parameters", self.node.parameters)
        yield from self._names()
        yield from self._outputs()
        yield from self._numbers()
        if self.node.sweep:
            yield from self._sweep(self.node.sweep)

    def _notebook(self) -> Iterator[Fault]:
        fault = path_fault(self.node.notebook)
        if fault is None and not self.node.notebook.endswith(".ipynb"):
            fault = "must name a notebook (.ipynb)"
        if fault:
            yield Fault(path=f"{self.path}.notebook", code="invalid_path", message=fault)
        if not self.environment:
            words = "neither the node nor the pipeline names an environment"
            remedy = "Write `environment: NAME` at the node, or once at the top."
            yield Fault(path=f"{self.path}.environment", code="no_environment", message=words, remedy=remedy)

    def _names(self) -> Iterator[Fault]:
        node = self.node
        for kind in ("datasets", "inputs"):
            for name in getattr(node, kind):
                if not BINDING_NAME.fullmatch(name):
                    yield _bad_binding(f"{self.path}.{kind}", name)
        for name in sorted(node.datasets.keys() & node.inputs.keys()):
            words = f"{name!r} is the name of a dataset, too"
            yield Fault(path=f"{self.path}.inputs.{name}", code="duplicate_name", message=words, remedy="Rename one.")
        if len(node.datasets) + len(node.inputs) > MAX_BINDINGS:
            yield Fault(
                path=f"{self.path}.inputs", code="too_many", message=f"datasets and inputs are at most {MAX_BINDINGS}"
            )
        for name, wanted in node.datasets.items():
            if dataset_reference(wanted) is None:
                words = f"must be NAME or NAME@NUMBER, not {wanted[:80]!r}"
                yield Fault(path=f"{self.path}.datasets.{name[:80]}", code="invalid_reference", message=words)

    def _outputs(self) -> Iterator[Fault]:
        outputs, path = self.node.outputs, f"{self.path}.outputs"
        for index, output in enumerate(outputs):
            if fault := path_fault(output):
                yield Fault(path=f"{path}[{index}]", code="invalid_path", message=fault)
        if len(set(outputs)) != len(outputs):
            yield Fault(path=path, code="duplicate_name", message="two outputs have the same name")
        if len(outputs) > MAX_OUTPUTS:
            yield Fault(path=path, code="too_many", message=f"must be at most {MAX_OUTPUTS}, not {len(outputs)}")

    def _numbers(self) -> Iterator[Fault]:
        yield from _range_faults(f"{self.path}.retries", self.node.retries, 0, MAX_RETRIES)
        if self.node.seed is not None:
            yield from _range_faults(f"{self.path}.seed", self.node.seed, 0, MAX_SEED)
        demands = msgspec.structs.asdict(self.node.resources) if self.node.resources else {}
        for name, amount in demands.items():
            if amount is not None:
                least = 0 if name == "gpus" else 0.001 if name == "cpus" else 1
                yield from _range_faults(f"{self.path}.resources.{name}", amount, least, 2**31 - 1)

    def _sweep(self, sweep: Sweep) -> Iterator[Fault]:
        path, count = f"{self.path}.sweep", fan_out(sweep)
        if bool(sweep.grid) == bool(sweep.items):
            words = "must have either `grid` or `items`"
            yield Fault(path=path, code="contradiction", message=words)
            return
        if not 0 < count <= MAX_FAN_OUT:
            words = f"has {count} items; it must have 1 to {MAX_FAN_OUT}"
            yield Fault(path=path, code="fan_out_over_limit", message=words, remedy="Sweep over fewer values.")
            return
        swept = set(sweep.grid).union(*sweep.items)
        for name in sorted(swept & self.node.parameters.keys()):
            words = f"{name!r} is among the node's parameters, too"
            yield Fault(path=path, code="duplicate_name", message=words, remedy="Keep it in one of the two.")
        for item in sweep_items(sweep):
            found = list(self._values(path, item))
            yield from found
            if found:
                return  # the same value comes again in other combinations

    def _values(self, path: str, values: Mapping[str, Any]) -> Iterator[Fault]:
        for name, value in values.items():
            place = f"{path}.{name[:80]}"
            match = reference(value)
            if match and match[1] not in self.known:
                words = f"the pipeline has no parameter {match[1]!r}"
                remedy = _close(match[1], self.known, "its parameters are")
                yield Fault(path=place, code="unknown_parameter", message=words, remedy=remedy)
            elif not match and isinstance(value, str) and "${" in value:
                words = "a reference must be the whole value, so that the parameter keeps its type"
                remedy = 'Write "${parameters.NAME}" alone, or put the text into the notebook.'
                yield Fault(path=place, code="invalid_reference", message=words, remedy=remedy)
            else:
                yield from _value_faults(place, value)


def _surrounding_faults(name: str, node: Node, pipeline: Pipeline, known: Surroundings) -> Iterator[Fault]:
    path, environment = f"$.nodes.{name[:80]}", node.environment or pipeline.environment
    limits = known.environments.get(environment)
    if environment and limits is None:
        words = f"the project has no locked environment {environment[:80]!r}"
        remedy = _close(environment, known.environments, "it has")
        yield Fault(path=f"{path}.environment", code="unknown_environment", message=words, remedy=remedy)
    if limits and node.resources:
        for resource, amount in msgspec.structs.asdict(node.resources).items():
            most = getattr(limits, resource)
            if amount is not None and amount > most:
                words = f"{amount} is more than the limit {most} of the environment {environment!r}"
                remedy = "Ask for less, or define the next version of the environment with higher limits."
                yield Fault(path=f"{path}.resources.{resource}", code="over_limit", message=words, remedy=remedy)
    for wanted_as, wanted in node.datasets.items():
        parsed = dataset_reference(wanted)
        newest = known.datasets.get(parsed[0], 0) if parsed else 1
        if parsed and (parsed[1] or 1) > newest:
            words = f"the project has no dataset version {wanted[:80]!r}"
            remedy = f"The newest is {parsed[0]}@{newest}." if newest else _close(parsed[0], known.datasets, "it has")
            yield Fault(path=f"{path}.datasets.{wanted_as[:80]}", code="unknown_dataset", message=words, remedy=remedy)


def dataset_reference(text: str) -> tuple[str, int | None] | None:
    """Return name and number of ``wine@3``, the number None for ``wine``; None when it is neither."""
    match = DATASET_REFERENCE.fullmatch(text)
    return (match[1], int(match[2]) if match[2] else None) if match else None


def _value_faults(path: str, value: Any) -> Iterator[Fault]:
    try:
        canonical(typed(value))
    except NotCanonicalError as error:
        yield Fault(path=path, code="not_json", message=str(error))


def _range_faults(path: str, value: float, least: float, most: float) -> Iterator[Fault]:
    if not least <= value <= most:
        yield Fault(path=path, code="out_of_range", message=f"must be from {least} to {most}, not {value}")


def _bad_name(path: str, name: str) -> Fault:
    words = "must be 1 to 64 letters, digits, dots, underscores and hyphens, a letter or digit at either end"
    return Fault(path=path, code="invalid_name", message=f"{words}, not {name[:80]!r}")


def _bad_binding(path: str, name: str) -> Fault:
    words = "must be a Python identifier of at most 64 ASCII letters, digits and underscores"
    return Fault(path=path, code="invalid_name", message=f"{words}, not {name[:80]!r}")


def _close(name: str, known: Iterable[str], told: str) -> str:
    names = sorted(known)
    if match := get_close_matches(name[:80], names, 1):
        return f"Did you mean {match[0]!r}?"
    shown = ", ".join(names[:8]) + (" and more" if len(names) > 8 else "")  # noqa: PLR2004  # as many as fit a line
    return f"Of these, {told}: {shown}." if names else "There is none yet."
