# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run from its submission to its end, over the real services, on a real database."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from animus_contracts.executions import Verdict
from animus_contracts.identifiers import RunId
from animus_contracts.origins import NodeRef
from animus_contracts.pipeline_runs import CancelPipeline, NodeState, PipelineRun, PipelineState
from animus_contracts.runs import CancelRun, Failure, FailureReason
from animus_control.domain.errors import ConflictError
from animus_control.domain.identity import SYSTEM
from animus_control.services import pipeline_steps
from tests.unit.control.services.desk import ED, LOCAL, Desk
from tests.unit.control.services.flows import (
    BROKEN,
    CHAIN,
    CODE,
    FORK,
    begin,
    fail,
    finish,
    of,
    read,
    rows,
    states,
    submit,
    sweep,
)


def test_nodes_run_one_after_the_other_and_get_their_parents_artifacts_by_digest(any_desk: Desk) -> None:
    desk = any_desk
    run = submit(desk, CHAIN)
    assert (run.state, states(desk, run)) == (
        PipelineState.RUNNING,
        {"prepare": "running", "train": "waiting", "evaluate": "waiting"},
    )
    assert [finish(desk, "clean.csv"), finish(desk, "model.bin"), finish(desk)] == ["prepare", "train", "evaluate"]
    ended = read(desk, run)
    assert (ended.state, ended.counts, ended.finished_at) == (
        PipelineState.SUCCEEDED, {NodeState.SUCCEEDED: 3}, desk.now,
    )  # fmt: skip
    prepare, train, evaluate = rows(desk, run)
    (bound,) = of(desk, train.run_id).artifacts
    assert (bound.name, bound.run_id, bound.artifact) == ("data", prepare.run_id, "clean.csv")
    assert of(desk, evaluate.run_id).pipeline == NodeRef(pipeline_run_id=run.pipeline_run_id, node="evaluate")
    assert of(desk, evaluate.run_id).code == msgspec.structs.replace(CODE, path="flows/evaluate.ipynb")
    assert desk.lease() is None


def test_every_step_is_in_the_audit_log(desk: Desk) -> None:
    submit(desk, CHAIN)
    finish(desk, "clean.csv")
    fail(desk)
    told = [(each.action.value, each.actor, each.details.get("node")) for each in desk.audit()
            if each.action.startswith("pipeline.")]  # fmt: skip
    system = SYSTEM.subject
    assert told == [
        ("pipeline.created", "user:ed", None),
        ("pipeline.node_submitted", system, "prepare"),
        ("pipeline.node_ended", system, "prepare"),
        ("pipeline.node_submitted", system, "train"),
        ("pipeline.node_ended", system, "train"),
        ("pipeline.node_skipped", system, "evaluate"),
        ("pipeline.ended", system, None),
    ]
    created = [each for each in desk.audit() if each.action == "run.created"]
    assert [each.actor for each in created] == ["user:ed", "user:ed"]


def test_no_more_runs_than_allowed_are_there_at_a_time(desk: Desk) -> None:
    nodes = {f"n{number}": {"notebook": "a.ipynb"} for number in range(5)}
    run = submit(desk, nodes, max_parallel=2)
    for done in range(5):
        assert sum(state == "running" for state in states(desk, run).values()) == min(2, 5 - done)
        finish(desk)
    assert read(desk, run).state is PipelineState.SUCCEEDED


def test_what_does_not_depend_on_a_failure_is_finished(desk: Desk) -> None:
    run = submit(desk, FORK)
    assert fail(desk) == "a"
    assert states(desk, run) == {"a": "failed", "b": "running", "c": "skipped"}
    assert rows(desk, run)[2].reason == "a failed"
    finish(desk)
    ended = read(desk, run)
    assert (ended.state, ended.reason) == (PipelineState.FAILED, "a failed")


def test_a_pipeline_that_fails_fast_stops_what_runs_and_starts_nothing_more(desk: Desk) -> None:
    run = submit(desk, FORK | {"d": {"notebook": "a.ipynb"}}, on_failure="fail_fast", max_parallel=3)
    first, _ = begin(desk)
    second, _ = begin(desk)
    desk.end(first, Verdict.FAILED, BROKEN)
    assert states(desk, run) == {"a": "failed", "b": "running", "c": "skipped", "d": "canceled"}
    assert desk.heartbeat(second).cancel
    desk.end(second, Verdict.CANCELED, event_id="end-2")
    ended = read(desk, run)
    assert (ended.state, ended.reason) == (PipelineState.FAILED, "a failed (and 2 more)")


@pytest.mark.parametrize(
    ("when", "metrics", "state", "reason"),
    [
        ({"at_least": 0.8}, {"accuracy": 0.9}, "running", ""),
        ({"at_least": 0.8}, {"accuracy": 0.7}, "skipped", "accuracy of a is 0.7, and must be at least 0.8"),
        ({"at_most": 0.8}, {"accuracy": 0.9}, "skipped", "accuracy of a is 0.9, and must be at most 0.8"),
        ({"equals": 1}, {"accuracy": 0.9}, "skipped", "accuracy of a is 0.9, and must be 1"),
        ({"equals": 1}, {"accuracy": 1.0}, "running", ""),
        ({"at_least": 0.8}, {"loss": 0.9}, "skipped", "a logged no metric 'accuracy'"),
    ],
)
def test_a_node_is_run_exactly_when_its_condition_holds(
    desk: Desk, when: dict[str, float], metrics: dict[str, float], state: str, reason: str
) -> None:
    nodes = {
        "a": {"notebook": "a.ipynb"},
        "b": {"notebook": "b.ipynb", "after": ["a"], "when": {"node": "a", "metric": "accuracy", **when}},
    }
    run = submit(desk, nodes)
    finish(desk, metrics=metrics)
    assert (states(desk, run)["b"], rows(desk, run)[1].reason) == (state, reason)
    assert read(desk, run).state is (PipelineState.RUNNING if state == "running" else PipelineState.SUCCEEDED)


def test_each_item_of_a_sweep_is_a_run_and_the_best_ones_artifact_goes_on(desk: Desk) -> None:
    nodes = {
        "train": {"notebook": "train.ipynb", "outputs": ["model.bin"], "sweep": {"grid": {"depth": [2, 4, 6]}}},
        "use": {
            "notebook": "use.ipynb",
            "inputs": {"model": {"from": "train", "artifact": "model.bin", "best": {"metric": "accuracy"}}},
        },
    }
    run = submit(desk, nodes)
    for accuracy in (0.5, 0.9, 0.9):
        finish(desk, "model.bin", metrics={"accuracy": accuracy})
    *items, use = rows(desk, run)
    assert [(row.item, row.parameters, row.metrics) for row in items] == [
        (0, {"depth": 2}, {"accuracy": 0.5}),
        (1, {"depth": 4}, {"accuracy": 0.9}),
        (2, {"depth": 6}, {"accuracy": 0.9}),
    ]
    assert of(desk, use.run_id).artifacts[0].run_id == items[1].run_id
    assert of(desk, items[2].run_id).parameters == {"depth": 6}


def test_a_best_item_that_cannot_be_told_fails_the_node_that_asks_for_it(desk: Desk) -> None:
    best = {"from": "train", "artifact": "model.bin", "best": {"metric": "accuracy"}}
    nodes = {
        "train": {"notebook": "train.ipynb", "outputs": ["model.bin"], "sweep": {"items": [{"depth": 2}]}},
        "use": {"notebook": "use.ipynb", "inputs": {"model": best}},
        "report": {"notebook": "report.ipynb", "after": ["use"]},
    }
    run = submit(desk, nodes)
    finish(desk, "model.bin")
    assert states(desk, run) == {"train[0]": "succeeded", "use": "failed", "report": "skipped"}
    assert "no item of train logged the metric 'accuracy'" in rows(desk, run)[1].reason
    assert read(desk, run).state is PipelineState.FAILED


def test_a_canceled_pipeline_run_takes_everything_with_it(desk: Desk) -> None:
    run = submit(desk, FORK, max_parallel=2)
    lease, _ = begin(desk)
    path = {"project": "demo", "pipeline": run.pipeline_run_id}
    canceling = desk.do(ED, "pipelines.cancel", CancelPipeline(reason="enough"), **path)
    assert (canceling.state, states(desk, run)) == (
        PipelineState.CANCELING,
        {"a": "running", "b": "canceled", "c": "canceled"},
    )
    assert desk.heartbeat(lease).cancel
    desk.end(lease, Verdict.CANCELED)
    ended = read(desk, run)
    assert (ended.state, ended.reason) == (PipelineState.CANCELED, "enough")
    assert desk.do(ED, "pipelines.cancel", CancelPipeline(), **path) == ended
    assert desk.lease() is None


def test_a_pipeline_run_of_queued_runs_is_canceled_at_once(desk: Desk) -> None:
    run = submit(desk, FORK)
    path = {"project": "demo", "pipeline": run.pipeline_run_id}
    assert desk.do(ED, "pipelines.cancel", CancelPipeline(), **path).state is PipelineState.CANCELED
    assert set(states(desk, run).values()) == {"canceled"}


def test_a_single_run_that_somebody_cancels_is_a_bad_node(desk: Desk) -> None:
    run = submit(desk, FORK)
    desk.do(ED, "runs.cancel", CancelRun(), project="demo", run=rows(desk, run)[0].run_id)
    assert states(desk, run) == {"a": "canceled", "b": "running", "c": "skipped"}
    finish(desk)
    assert (read(desk, run).state, read(desk, run).reason) == (PipelineState.FAILED, "a was canceled")


def test_a_repair_runs_what_was_not_good_and_reuses_the_rest(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    finish(desk, "clean.csv")
    fail(desk)
    desk.later(60)
    path = {"project": "demo", "pipeline": run.pipeline_run_id}
    repair: PipelineRun = desk.do(ED, "pipelines.repair", **path)
    assert (repair.repairs, repair.plan_hash) == (run.pipeline_run_id, run.plan_hash)
    assert states(desk, repair) == {"prepare": "reused", "train": "running", "evaluate": "waiting"}
    assert rows(desk, repair)[0].run_id == rows(desk, run)[0].run_id
    assert of(desk, rows(desk, repair)[1].run_id).artifacts[0].run_id == rows(desk, run)[0].run_id
    finish(desk, "model.bin")
    finish(desk)
    assert read(desk, repair).state is PipelineState.SUCCEEDED
    assert read(desk, run).state is PipelineState.FAILED
    with pytest.raises(ConflictError, match="good"):
        desk.do(ED, "pipelines.repair", project="demo", pipeline=repair.pipeline_run_id)


def test_a_pipeline_run_that_is_going_on_cannot_be_repaired(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    with pytest.raises(ConflictError, match="still running"):
        desk.do(ED, "pipelines.repair", project="demo", pipeline=run.pipeline_run_id)


def test_a_sweep_of_the_worker_takes_up_what_was_left_behind_and_changes_nothing_else(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    followers = pipeline_steps.WAITERS.copy()
    pipeline_steps.WAITERS.clear()  # as if whoever ended the run had known nothing of pipelines
    finish(desk, "clean.csv")
    pipeline_steps.WAITERS.extend(followers)
    assert states(desk, run)["prepare"] == "running"

    assert sweep(desk) == 1
    assert states(desk, run) == {"prepare": "succeeded", "train": "running", "evaluate": "waiting"}
    before = read(desk, run)
    assert (sweep(desk), read(desk, run)) == (0, before)


def test_advancing_again_changes_nothing(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    before, call = (read(desk, run), rows(desk, run)), desk.call(LOCAL)
    desk.write(lambda uow: pipeline_steps.advance(uow, call, run.project_id, run.pipeline_run_id))
    assert (read(desk, run), rows(desk, run)) == before


def test_a_run_that_is_retried_by_itself_is_followed_and_does_not_fail_its_node(desk: Desk) -> None:
    run = submit(desk, {"a": {"notebook": "a.ipynb", "retries": 1}, "b": {"notebook": "b.ipynb", "after": ["a"]}})
    lost = rows(desk, run)[0].run_id
    assert fail(desk, Failure(reason=FailureReason.INFRASTRUCTURE, summary="The executor was lost.")) == "a"
    row = rows(desk, run)[0]
    assert row.state is NodeState.RUNNING
    assert row.run_id not in {None, lost}
    assert of(desk, RunId(row.run_id or "")).origin is not None
    desk.later(timedelta(hours=1).total_seconds())
    desk.reconcile()
    finish(desk)
    assert states(desk, run) == {"a": "succeeded", "b": "running"}


def test_a_retry_that_comes_while_the_pipeline_run_is_being_canceled_is_canceled_too(desk: Desk) -> None:
    run = submit(desk, {"a": {"notebook": "a.ipynb", "retries": 1}})
    lease, _ = begin(desk)
    desk.do(ED, "pipelines.cancel", CancelPipeline(), project="demo", pipeline=run.pipeline_run_id)
    lost = Failure(reason=FailureReason.INFRASTRUCTURE, summary="The executor was lost.")
    desk.end(lease, Verdict.FAILED, lost)
    assert read(desk, run).finished_at == desk.now
    assert rows(desk, run)[0].state in {NodeState.CANCELED, NodeState.FAILED}
    desk.later(timedelta(hours=1).total_seconds())
    desk.reconcile()
    assert desk.lease() is None
