# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a pipeline is found at once, with its place and a way out; what is right has one plan."""

from __future__ import annotations

import random
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.decoding import convert
from animus_contracts.environments import Resources
from animus_contracts.pipeline_plans import build_pipeline_plan, plan_hash, sweep_items, topological
from animus_contracts.pipeline_rules import Surroundings, dataset_reference, pipeline_faults
from animus_contracts.pipeline_runs import NodeState, state_of_node
from animus_contracts.pipelines import Node, Pipeline, Sweep, pipeline_schema

KNOWN = Surroundings(environments={"science": Resources(cpus=2.0)}, datasets={"wine": 3, "empty": 0})


def a_pipeline(nodes: dict[str, Any], **more: Any) -> Pipeline:
    values = {"name": "wine", "environment": "science", "nodes": nodes, **more}
    return convert(values, Pipeline)


def a_node(**more: Any) -> dict[str, Any]:
    return {"notebook": "a.ipynb", **more}


def use(node: str, artifact: str = "o", **more: Any) -> dict[str, Any]:
    return {"d": {"from": node, "artifact": artifact, **more}}


MADE = a_node(outputs=["o"])
SWEPT = a_node(outputs=["o"], sweep={"grid": {"x": [1, 2]}})
FAULTS: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "no node": ({}, "$.nodes", "empty", ""),
    "unknown after": ({"a": a_node(after=["bb"]), "b": a_node()}, "$.nodes.a.after[0]", "unknown_node", "'b'"),
    "unknown source": ({"a": a_node(inputs=use("b"))}, "$.nodes.a.inputs.d", "unknown_node", "Add the node"),
    "self": ({"a": a_node(after=["a"])}, "$.nodes.a.after[0]", "self_reference", "Remove it"),
    "own artifact": ({"a": a_node(outputs=["o"], inputs=use("a"))}, "$.nodes.a.inputs.d", "self_reference", ""),
    "dangling": ({"a": MADE, "b": a_node(inputs=use("a", "oo"))}, "$.nodes.b.inputs.d", "dangling_artifact", "'o'"),
    "nothing made": (
        {"a": a_node(), "b": a_node(inputs=use("a", "x"))},
        "$.nodes.b.inputs.d", "dangling_artifact", "$.nodes.a.outputs",
    ),
    "which item": ({"a": SWEPT, "b": a_node(inputs=use("a"))}, "$.nodes.b.inputs.d", "which_item", "best"),
    "item and best": (
        {"a": SWEPT, "b": a_node(inputs=use("a", item=0, best={"metric": "m"}))},
        "$.nodes.b.inputs.d", "which_item", "",
    ),
    "item beyond": ({"a": SWEPT, "b": a_node(inputs=use("a", item=2))}, "$.nodes.b.inputs.d.item", "out_of_range", ""),
    "no sweep": ({"a": MADE, "b": a_node(inputs=use("a", item=0))}, "$.nodes.b.inputs.d", "not_a_sweep", ""),
    "no ancestor": (
        {"a": a_node(), "b": a_node(when={"node": "a", "metric": "m", "equals": 1})},
        "$.nodes.b.when.node", "not_an_ancestor", "$.nodes.b.after",
    ),
    "when on sweep": (
        {"a": SWEPT, "b": a_node(after=["a"], when={"node": "a", "metric": "m", "equals": 1})},
        "$.nodes.b.when.node", "when_on_sweep", "",
    ),
    "empty when": (
        {"a": a_node(), "b": a_node(after=["a"], when={"node": "a", "metric": "m"})},
        "$.nodes.b.when", "contradiction", "",
    ),
    "when of both kinds": (
        {"a": a_node(), "b": a_node(after=["a"], when={"node": "a", "metric": "m", "equals": 1, "at_most": 2})},
        "$.nodes.b.when", "contradiction", "",
    ),
    "parent folder": ({"a": {"notebook": "../a.ipynb"}}, "$.nodes.a.notebook", "invalid_path", ""),
    "absolute": ({"a": {"notebook": "/a.ipynb"}}, "$.nodes.a.notebook", "invalid_path", ""),
    "no notebook": ({"a": {"notebook": "a.py"}}, "$.nodes.a.notebook", "invalid_path", ""),
    "output above": ({"a": a_node(outputs=["../x"])}, "$.nodes.a.outputs[0]", "invalid_path", ""),
    "output twice": ({"a": a_node(outputs=["x", "x"])}, "$.nodes.a.outputs", "duplicate_name", ""),
    "too many outputs": ({"a": a_node(outputs=[f"o{i}" for i in range(257)])}, "$.nodes.a.outputs", "too_many", ""),
    "name": ({"a b": a_node()}, "$.nodes.a b", "invalid_name", ""),
    "input name": ({"a": MADE, "b": a_node(inputs={"1": use("a")["d"]})}, "$.nodes.b.inputs", "invalid_name", ""),
    "input is dataset": (
        {"a": MADE, "b": a_node(inputs=use("a"), datasets={"d": "wine"})}, "$.nodes.b.inputs.d", "duplicate_name", "",
    ),
    "bad dataset": ({"a": a_node(datasets={"d": "wine@x"})}, "$.nodes.a.datasets.d", "invalid_reference", ""),
    "dataset 0": ({"a": a_node(datasets={"d": "wine@0"})}, "$.nodes.a.datasets.d", "invalid_reference", ""),
    "later version": ({"a": a_node(datasets={"d": "wine@4"})}, "$.nodes.a.datasets.d", "unknown_dataset", "wine@3"),
    "no version": ({"a": a_node(datasets={"d": "empty"})}, "$.nodes.a.datasets.d", "unknown_dataset", ""),
    "unknown dataset": ({"a": a_node(datasets={"d": "wines"})}, "$.nodes.a.datasets.d", "unknown_dataset", "'wine'"),
    "unknown environment": (
        {"a": a_node(environment="scienc")}, "$.nodes.a.environment", "unknown_environment", "'science'",
    ),
    "over limit": ({"a": a_node(resources={"cpus": 3})}, "$.nodes.a.resources.cpus", "over_limit", "Ask for less"),
    "negative": ({"a": a_node(resources={"memory_mib": -1})}, "$.nodes.a.resources.memory_mib", "out_of_range", ""),
    "retries": ({"a": a_node(retries=6)}, "$.nodes.a.retries", "out_of_range", ""),
    "seed": ({"a": a_node(seed=-1)}, "$.nodes.a.seed", "out_of_range", ""),
    "empty sweep": ({"a": a_node(sweep={})}, "$.nodes.a.sweep", "contradiction", ""),
    "both sweeps": (
        {"a": a_node(sweep={"grid": {"x": [1]}, "items": [{"x": 1}]})}, "$.nodes.a.sweep", "contradiction", "",
    ),
    "empty grid": ({"a": a_node(sweep={"grid": {"x": []}})}, "$.nodes.a.sweep", "fan_out_over_limit", ""),
    "swept parameter": (
        {"a": a_node(parameters={"x": 1}, sweep={"grid": {"x": [1]}})}, "$.nodes.a.sweep", "duplicate_name", "",
    ),
    "unknown reference": (
        {"a": a_node(parameters={"x": "${parameters.shar}"})}, "$.nodes.a.parameters.x", "unknown_parameter", "'share'",
    ),
    "reference inside": (
        {"a": a_node(parameters={"x": "a ${parameters.share}"})}, "$.nodes.a.parameters.x", "invalid_reference", "",
    ),
    "not a number": ({"a": a_node(parameters={"x": float("nan")})}, "$.nodes.a.parameters.x", "not_json", ""),
    "infinite in a sweep": ({"a": a_node(sweep={"grid": {"x": [float("inf")]}})}, "$.nodes.a.sweep.x", "not_json", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_each_fault_is_told_with_its_place_and_a_remedy(case: str) -> None:
    nodes, path, code, remedy = FAULTS[case]
    (found,) = pipeline_faults(a_pipeline(nodes, parameters={"share": 0.5}), {}, KNOWN)
    assert (found.path, found.code) == (path, code)
    assert remedy in found.remedy


def test_a_cycle_is_told_as_the_path_one_would_walk() -> None:
    nodes = {"c": a_node(after=["b"]), "a": a_node(after=["c"]), "b": a_node(after=["a"]), "d": a_node(after=["a"])}
    (found,) = pipeline_faults(a_pipeline(nodes), {})
    assert found.code == "cycle"
    assert "a → b → c → a" in found.message


def test_all_faults_are_found_at_once() -> None:
    nodes = {
        "a": {"notebook": "../a.ipynb", "retries": 9},
        "b": a_node(after=["x", "b"]),
        "c": a_node(datasets={"d": "nope"}, environment="nope"),
    }
    found = pipeline_faults(a_pipeline(nodes, max_parallel=0, name="-"), {"y": 1}, KNOWN)
    assert [fault.code for fault in found] == [
        "invalid_name", "out_of_range", "unknown_parameter", "invalid_path", "out_of_range",
        "unknown_environment", "unknown_dataset", "unknown_node", "self_reference",
    ]  # fmt: skip


def test_without_an_environment_it_is_said_where_to_write_one() -> None:
    (found,) = pipeline_faults(a_pipeline({"a": a_node()}, environment=""), {})
    assert (found.path, found.code) == ("$.nodes.a.environment", "no_environment")


def test_a_sweep_over_millions_is_refused_before_it_is_made() -> None:
    values = list(range(1000))
    nodes = {"a": a_node(sweep={"grid": {"x": values, "y": values, "z": values}})}
    begin = time.perf_counter()
    codes = [fault.code for fault in pipeline_faults(a_pipeline(nodes), {})]
    assert codes == ["fan_out_over_limit"]
    assert time.perf_counter() - begin < 0.5


def test_more_nodes_than_there_may_be_are_refused_and_not_looked_at() -> None:
    (found,) = pipeline_faults(a_pipeline({f"n{i}": a_node() for i in range(1001)}), {})
    assert found.code == "too_many"


def test_many_sweeps_together_are_too_many_runs() -> None:
    nodes = {f"n{i}": a_node(sweep={"grid": {"x": list(range(256))}}) for i in range(20)}
    (found,) = pipeline_faults(a_pipeline(nodes), {})
    assert found.code == "too_many_runs"


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, list[str]]:
    names = draw(st.lists(st.from_regex(r"[a-z]{1,3}", fullmatch=True), min_size=1, max_size=12, unique=True))
    parents = {
        name: draw(st.lists(st.sampled_from(names[:i]), unique=True)) if i else [] for i, name in enumerate(names)
    }
    order = draw(st.permutations(names))
    return {name: parents[name] for name in order}


@given(graphs())
def test_parents_come_first_ties_by_name_whatever_the_order_of_the_file(parents: dict[str, list[str]]) -> None:
    order = topological(parents)
    assert sorted(order) == sorted(parents)
    done: set[str] = set()
    for name in order:
        ready = {other for other in parents if other not in done and set(parents[other]) <= done}
        assert name == min(ready)
        done.add(name)


@given(graphs(), st.randoms(use_true_random=False))
def test_the_plan_of_a_pipeline_does_not_depend_on_the_order_of_its_file(
    parents: dict[str, list[str]], chance: random.Random
) -> None:
    nodes = {name: a_node(after=named) for name, named in parents.items()}
    shuffled = list(nodes.items())
    chance.shuffle(shuffled)
    hashes = {plan_hash(build_pipeline_plan(a_pipeline(each), {})) for each in (nodes, dict(shuffled))}
    assert len(hashes) == 1


@pytest.mark.parametrize(
    "change",
    [
        {"parameters": {"share": 1}}, {"max_parallel": 3}, {"on_failure": "fail_fast"},
        {"nodes": {"a": a_node(seed=1)}}, {"nodes": {"a": a_node(parameters={"x": 1.0})}}, {"environment": "other"},
    ],
    ids=str,
)  # fmt: skip
def test_the_hash_of_a_plan_changes_with_whatever_would_run_otherwise(change: dict[str, Any]) -> None:
    base: dict[str, Any] = {"nodes": {"a": a_node(parameters={"x": 1})}, "parameters": {}}
    base["nodes"]["a"]["parameters"]["share"] = "${parameters.share}"
    base["parameters"] = {"share": 1.0}
    plan = build_pipeline_plan(a_pipeline(**base), {})
    other = build_pipeline_plan(a_pipeline(**base | change), {})
    assert plan_hash(plan) != plan_hash(other)


def test_a_description_is_not_part_of_the_plan() -> None:
    nodes = {"a": a_node()}
    one, other = a_pipeline(nodes), a_pipeline(nodes, description="better words")
    assert plan_hash(build_pipeline_plan(one, {})) == plan_hash(build_pipeline_plan(other, {}))


def test_references_keep_the_type_of_the_parameter() -> None:
    nodes = {
        "a": a_node(
            parameters={"x": "${parameters.share}", "y": "plain"}, sweep={"items": [{"z": "${parameters.share}"}]}
        )
    }
    (node,) = build_pipeline_plan(a_pipeline(nodes, parameters={"share": 0.5}), {"share": [1, {"a": None}]}).nodes
    assert node.items == [{"x": [1, {"a": None}], "y": "plain", "z": [1, {"a": None}]}]


def test_a_grid_is_every_combination_the_last_name_changing_fastest() -> None:
    assert sweep_items(Sweep(grid={"b": [1, 2], "a": ["x", "y"]})) == [
        {"a": "x", "b": 1}, {"a": "x", "b": 2}, {"a": "y", "b": 1}, {"a": "y", "b": 2},
    ]  # fmt: skip


def test_a_thousand_nodes_are_planned_within_two_seconds() -> None:
    nodes = {
        f"n{i:04}": a_node(outputs=["o"], inputs={f"x{j}": use(f"n{i - j - 1:04}")["d"] for j in range(min(i, 5))})
        for i in range(1000)
    }
    pipeline = a_pipeline(nodes)
    begin = time.process_time()
    assert pipeline_faults(pipeline, {}, KNOWN) == []
    plan = build_pipeline_plan(pipeline, {})
    assert (len(plan.nodes), plan_hash(plan)[:7]) == (1000, "sha256:")
    assert time.process_time() - begin < 2


@pytest.mark.parametrize(
    ("text", "found"),
    [("wine", ("wine", None)), ("wine@3", ("wine", 3)), ("wine@", None), ("wine@0", None), ("wine@03", None),
     ("wine@1234567890", None), ("@3", None), ("wi ne", None), ("wine@3@4", None), ("", None)],
)  # fmt: skip
def test_a_dataset_is_named_in_one_of_two_ways(text: str, found: tuple[str, int | None] | None) -> None:
    assert dataset_reference(text) == found


W, R, S, F, K, C, U = (NodeState(name) for name in (
    "waiting", "running", "succeeded", "failed", "skipped", "canceled", "reused",
))  # fmt: skip


@pytest.mark.parametrize(
    ("states", "whole"),
    [([W], W), ([R], R), ([S], S), ([F], F), ([K], K), ([C], C), ([U], U), ([W, S], R), ([R, F], R), ([S, F], F),
     ([S, U], S), ([U, U], U), ([S, C], C), ([F, C], F), ([S, K], K)],
)  # fmt: skip
def test_a_node_is_as_good_as_its_worst_item_and_runs_until_all_have_ended(
    states: list[NodeState], whole: NodeState
) -> None:
    assert state_of_node(states) is whole


def test_the_published_schema_describes_every_member_and_refuses_others() -> None:
    schema = pipeline_schema()
    node = schema["$defs"]["Node"]
    assert node["additionalProperties"] is False
    assert set(node["properties"]) == {field.encode_name for field in msgspec.structs.fields(Node)}
    assert schema["$defs"]["Pipeline"]["properties"]["nodes"]["maxProperties"] == 1000
