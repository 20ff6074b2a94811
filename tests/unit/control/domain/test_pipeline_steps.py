# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What happens next in a pipeline run, over every combination of states of a small graph and as a play of chance."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.decoding import convert
from animus_contracts.identifiers import PipelineRunId, ProjectId
from animus_contracts.pipeline_plans import PipelinePlan, build_pipeline_plan
from animus_contracts.pipeline_runs import GOOD_STATES, OPEN_NODES, NodeRun, NodeState, PipelineState
from animus_contracts.pipelines import ArtifactOf, Best, OnFailure, Pipeline
from animus_control.domain.pipelines import BAD, by_node, next_steps, source_of

W, R, S, F, K, C, U = (NodeState(name) for name in (
    "waiting", "running", "succeeded", "failed", "skipped", "canceled", "reused",
))  # fmt: skip


def a_plan(parents: dict[str, list[str]], **more: Any) -> PipelinePlan:
    nodes = {name: {"notebook": "a.ipynb", "after": named} for name, named in parents.items()}
    values = {"name": "p", "environment": "e", "nodes": nodes, "max_parallel": 64, **more}
    return build_pipeline_plan(convert(values, Pipeline), {})


def rows_of(plan: PipelinePlan, *states: NodeState) -> list[NodeRun]:
    return [
        NodeRun(
            project_id=ProjectId("p"), pipeline_run_id=PipelineRunId("r"), place=place, node=node.name, item=None,
            parameters={}, state=state,
        )
        for place, (node, state) in enumerate(zip(plan.nodes, states, strict=True))
    ]  # fmt: skip


PAIR = {"a": [], "b": ["a"]}


@pytest.mark.parametrize("on_failure", OnFailure)
@pytest.mark.parametrize("canceling", [False, True])
@pytest.mark.parametrize(("parent", "child"), list(product(NodeState, NodeState)))
def test_a_child_is_started_skipped_or_left_by_its_parents_state_alone(
    parent: NodeState, child: NodeState, canceling: bool, on_failure: OnFailure
) -> None:
    plan = a_plan(PAIR, on_failure=on_failure)
    steps = next_steps(plan, rows_of(plan, parent, child), canceling=canceling)
    dropped = {row.node: state for row, state, _ in steps.dropped}
    ready = {row.node for row in steps.ready}
    stops = canceling or (on_failure is OnFailure.FAIL_FAST and bool({parent, child} & BAD))
    assert ("b" in ready) == (child is W and parent in GOOD_STATES and not stops)
    if child is W and (stops or parent not in GOOD_STATES | OPEN_NODES):
        assert dropped["b"] is (C if canceling else K)
    else:
        assert "b" not in dropped
    assert ("a" in ready) == (parent is W and not stops)
    assert {row.node for row in steps.to_stop} == (
        {name for name, state in (("a", parent), ("b", child)) if state is R} if stops else set()
    )
    is_over = not {parent, child} & {R} and not ready and len(dropped) == [parent, child].count(W)
    assert (steps.end is not None) == is_over
    if steps.end is not None:
        bad = bool({parent, child} & BAD)
        whole = {parent, child, *dropped.values()}
        expected = PipelineState.CANCELED if canceling and (C in whole or dropped) else (
            PipelineState.FAILED if bad else PipelineState.SUCCEEDED
        )  # fmt: skip
        assert steps.end is expected


@st.composite
def games(draw: st.DrawFn) -> tuple[PipelinePlan, int]:
    count = draw(st.integers(1, 9))
    parents = {f"n{i}": [f"n{p}" for p in draw(st.sets(st.integers(0, i - 1)))] if i else [] for i in range(count)}
    plan = a_plan(parents, max_parallel=draw(st.integers(1, 3)), on_failure=draw(st.sampled_from(list(OnFailure))))
    return plan, draw(st.integers(0, 2**16))


@given(games())
def test_every_game_ends_and_no_node_is_played_before_its_parents_are_good(game: tuple[PipelinePlan, int]) -> None:
    plan, seed = game
    chance = random.Random(seed)
    rows = rows_of(plan, *[W] * len(plan.nodes))
    parents = {node.name: node.parents for node in plan.nodes}
    canceling = False
    for _ in range(10 * len(rows) + 10):
        steps = next_steps(plan, rows, canceling=canceling)
        for row, state, reason in steps.dropped:
            assert reason
            rows[row.place] = msgspec.structs.replace(row, state=state, reason=reason)
        for row in steps.ready:
            states = {each.node: each.state for each in rows}
            assert all(states[parent] in GOOD_STATES for parent in parents[row.node])
            rows[row.place] = msgspec.structs.replace(row, state=R)
        running = [row for row in rows if row.state is R]
        assert len(running) <= plan.max_parallel
        if steps.end is not None:
            assert not any(row.state in OPEN_NODES for row in rows)
            assert next_steps(plan, rows, canceling=canceling).end is not None
            return
        for row in running[: chance.randint(0, 2)]:
            ends = [S, S, F, C] if row not in steps.to_stop else [C]
            rows[row.place] = msgspec.structs.replace(row, state=chance.choice(ends))
        canceling |= chance.random() < 0.03
    pytest.fail("the pipeline run does not end")


def test_deciding_twice_without_acting_decides_the_same() -> None:
    plan = a_plan({"a": [], "b": ["a"], "c": ["a"], "d": ["b", "c"]})
    rows = rows_of(plan, S, F, W, W)
    assert next_steps(plan, rows, canceling=False) == next_steps(plan, rows, canceling=False)


def test_what_is_skipped_takes_everything_below_with_it_at_once() -> None:
    plan = a_plan({"a": [], "b": ["a"], "c": ["b"], "d": ["c"], "x": []})
    steps = next_steps(plan, rows_of(plan, F, W, W, W, W), canceling=False)
    assert [(row.node, reason) for row, _, reason in steps.dropped] == [
        ("b", "a failed"), ("c", "b was skipped"), ("d", "c was skipped"),
    ]  # fmt: skip
    assert [row.node for row in steps.ready] == ["x"]


@pytest.mark.parametrize(
    ("prefer", "values", "item"),
    [("highest", [1.0, 3.0, 3.0], 1), ("lowest", [2.0, 1.0, 1.0], 1), ("highest", [None, 0.0, None], 1)],
)
def test_the_best_item_is_the_first_of_the_best(prefer: str, values: list[float | None], item: int) -> None:
    base = rows_of(a_plan({"a": []}), S)[0]
    rows = [
        msgspec.structs.replace(base, item=number, metrics={} if value is None else {"m": value})
        for number, value in enumerate(values)
    ]
    source = ArtifactOf(node="a", artifact="x", best=convert({"metric": "m", "prefer": prefer}, Best))
    found = source_of(source, by_node(rows))
    assert isinstance(found, NodeRun)
    assert found.item == item
