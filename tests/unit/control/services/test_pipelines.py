# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run from its submission to its end, over the real services, on a real database."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from animus_contracts.executions import Lease, Verdict
from animus_contracts.identifiers import RunId
from animus_contracts.origins import NodeRef
from animus_contracts.parameters import Parameter, ParameterType
from animus_contracts.pipeline_runs import (
    CancelPipeline,
    GraphQuery,
    NodeListQuery,
    NodeRun,
    NodeState,
    PipelineGraph,
    PipelineListQuery,
    PipelineRun,
    PipelineState,
    SubmitPipeline,
)
from animus_contracts.pipelines import Pipeline
from animus_contracts.policies import PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.quotas import PutQuota
from animus_contracts.run_events import MetricLogged
from animus_contracts.runs import CancelRun, CodeRef, Failure, FailureReason, Run, RunState
from animus_control.domain.errors import ConflictError, InvalidError, MissingError
from animus_control.domain.identity import EVERY_PROJECT, SYSTEM, Principal, PrincipalKind
from animus_control.services import pipeline_steps
from tests.unit.control.services.desk import ADA, ED, LOCAL, VIC, Desk

CODE = CodeRef(repository="file:///srv/a.git", commit="0a" * 20, path="flows/wine.yaml")
DIGEST = "sha256:" + "ab" * 32
DEPTH = Parameter(name="depth", type=ParameterType.INTEGER, required=False, default=1)
BROKEN = Failure(reason=FailureReason.USER_CODE, summary="A cell raised an exception.")
CHAIN = {
    "prepare": {"notebook": "prepare.ipynb", "outputs": ["clean.csv"]},
    "train": {
        "notebook": "train.ipynb",
        "inputs": {"data": {"from": "prepare", "artifact": "clean.csv"}},
        "outputs": ["model.bin"],
    },
    "evaluate": {
        "notebook": "evaluate.ipynb",
        "inputs": {"model": {"from": "train", "artifact": "model.bin"}},
        "after": ["prepare"],
    },
}
FORK: dict[str, Any] = {
    "a": {"notebook": "a.ipynb"},
    "b": {"notebook": "b.ipynb"},
    "c": {"notebook": "c.ipynb", "after": ["a"]},
}


def a_pipeline(nodes: dict[str, Any], **more: Any) -> Pipeline:
    return msgspec.convert({"name": "wine", "environment": "sklearn", "nodes": nodes, **more}, Pipeline)


def submission(nodes: dict[str, Any], **more: Any) -> SubmitPipeline:
    message = {name: more.pop(name) for name in ("run_class", "parameters", "labels", "priority") if name in more}
    schemas = {node["notebook"]: [DEPTH] for node in nodes.values()}
    return SubmitPipeline(
        pipeline=a_pipeline(nodes, **more), code=CODE, file_digest=DIGEST, schemas=schemas, **message
    )  # fmt: skip


def submit(desk: Desk, nodes: dict[str, Any], **more: Any) -> PipelineRun:
    desk.project()
    desk.lock()
    run: PipelineRun = desk.do(ED, "pipelines.submit", submission(nodes, **more), project="demo")
    return run


def read(desk: Desk, run: PipelineRun) -> PipelineRun:
    found: PipelineRun = desk.do(VIC, "pipelines.read", project="demo", pipeline=run.pipeline_run_id)
    return found


def rows(desk: Desk, run: PipelineRun) -> list[NodeRun]:
    page = desk.do(VIC, "pipelines.nodes", NodeListQuery(limit=200), project="demo", pipeline=run.pipeline_run_id)
    found: list[NodeRun] = page.items
    return found


def states(desk: Desk, run: PipelineRun) -> dict[str, str]:
    return {row.node if row.item is None else f"{row.node}[{row.item}]": row.state.value for row in rows(desk, run)}


def of(desk: Desk, run_id: str | None) -> Run:
    found: Run = desk.do(VIC, "runs.read", project="demo", run=run_id)
    return found


def begin(desk: Desk) -> tuple[Lease, str]:
    """Lease and start the next run; return the lease and the node it belongs to."""
    lease = desk.leased()
    desk.start(lease)
    ref = of(desk, lease.run_id).pipeline
    assert ref is not None
    return lease, ref.node


def finish(desk: Desk, *products: str, metrics: dict[str, float] | None = None) -> str:
    """Carry out the next run well; return its node."""
    lease, node = begin(desk)
    events = [
        MetricLogged(sequence=number, at=desk.now, name=name, step=0, value=value)
        for number, (name, value) in enumerate((metrics or {}).items(), 1)
    ]
    if events:
        desk.report(lease, *events)
    made = [desk.product(lease, f"{lease.run_id} {name}".encode(), name) for name in products]
    desk.end(lease, artifacts=made, event_id=f"end-{lease.run_id}")
    return node


def fail(desk: Desk, failure: Failure = BROKEN) -> str:
    lease, node = begin(desk)
    desk.end(lease, Verdict.FAILED, failure, event_id=f"end-{lease.run_id}")
    return node


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


def test_a_policy_that_refuses_a_later_node_fails_it_with_the_decision_and_lets_the_parent_end(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    lease, _ = begin(desk)
    cedar = '@id("no")@reason("not now") forbid (principal, action == Action::"run:submit", resource);'
    desk.do(ADA, "policies.put", PutPolicy(name="freeze", cedar=cedar), project="demo")
    ended = desk.end(lease, artifacts=[desk.product(lease, b"x", "clean.csv")])
    assert ended.state is RunState.SUCCEEDED
    assert states(desk, run) == {"prepare": "succeeded", "train": "failed", "evaluate": "skipped"}
    assert "policy_denied" in rows(desk, run)[1].reason
    assert "run.refused" in desk.actions()
    assert read(desk, run).state is PipelineState.FAILED


def test_an_owner_who_lost_their_role_starts_nothing_more(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    lease, _ = begin(desk)
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject="ed", role=Role.VIEWER)
    desk.do(ADA, "role_bindings.put", binding, project="demo")
    desk.end(lease, artifacts=[desk.product(lease, b"x", "clean.csv")])
    assert "forbidden" in rows(desk, run)[1].reason
    assert read(desk, run).state is PipelineState.FAILED


def sweep(desk: Desk) -> int:
    call = desk.call(SYSTEM)
    return desk.write(lambda uow: pipeline_steps.sweep(uow, call))


def a_member(desk: Desk) -> Principal:
    """Make the project, and somebody who is an editor only by a group."""
    desk.project()
    desk.lock()
    binding = PutRoleBinding(subject_type=SubjectType.GROUP, subject="lab", role=Role.EDITOR)
    desk.do(ADA, "role_bindings.put", binding, project="demo")
    return Principal(
        name="gil", kind=PrincipalKind.USER, groups=frozenset({"lab"}), ceiling={EVERY_PROJECT: Role.ADMIN}
    )


@pytest.mark.parametrize(
    ("groups", "state"), [({"lab"}, "running"), ({"other"}, "failed"), (set(), "failed"), (None, "failed")]
)
def test_a_node_is_submitted_with_the_groups_its_owner_has_then(
    desk: Desk, groups: set[str] | None, state: str
) -> None:
    gil = a_member(desk)
    run = desk.do(gil, "pipelines.submit", submission(CHAIN), project="demo")
    lease, _ = begin(desk)
    desk.hub_says("gil", groups)
    desk.end(lease, artifacts=[desk.product(lease, b"x", "clean.csv")])

    row = rows(desk, run)[1]
    assert (row.state, "forbidden" in row.reason) == (state, state == "failed")


def test_a_node_whose_owners_groups_nobody_can_tell_waits_and_says_so_until_the_hub_has_told(desk: Desk) -> None:
    gil = a_member(desk)
    run = desk.do(gil, "pipelines.submit", submission(CHAIN), project="demo")
    lease, _ = begin(desk)
    desk.hub_says("gil", {"lab"}, ago=31)
    desk.hub_says("gil", (), failure="the Hub cannot be reached")
    desk.end(lease, artifacts=[desk.product(lease, b"x", "clean.csv")])

    row = rows(desk, run)[1]
    words = "the Hub has not said lately to which groups user:gil belongs (the Hub cannot be reached)"
    assert (row.state, row.reason) == (NodeState.WAITING, words)
    assert sweep(desk) == 0
    assert desk.actions().count("pipeline.node_held") == 1

    desk.hub_says("gil", {"lab"})
    assert sweep(desk) == 1
    row = rows(desk, run)[1]
    assert (row.state, row.reason) == (NodeState.RUNNING, "")


def test_a_platform_administrator_without_a_role_submits_no_pipeline(desk: Desk) -> None:
    desk.project()
    desk.lock()
    other = Principal(name="root", kind=PrincipalKind.USER, platform_admin=True, ceiling={EVERY_PROJECT: Role.ADMIN})
    with pytest.raises(ConflictError) as refused:
        desk.do(other, "pipelines.submit", submission(FORK), project="demo")
    assert refused.value.code == "no_personal_role"


def test_what_was_bound_at_the_submission_does_not_change_underway(desk: Desk) -> None:
    desk.project()
    lock, version = desk.lock(), desk.version()
    nodes = {
        "a": {"notebook": "a.ipynb", "datasets": {"wine": "wine"}, "resources": {"cpus": 0.5}},
        "b": {"notebook": "b.ipynb", "datasets": {"wine": "wine@1"}, "after": ["a"]},
    }
    run = desk.do(ED, "pipelines.submit", submission(nodes), project="demo")
    assert desk.lock().lock_id != lock.lock_id
    finish(desk)
    first, second = (of(desk, row.run_id) for row in rows(desk, run))
    assert {first.environment_lock_id, second.environment_lock_id} == {lock.lock_id}
    assert {first.datasets[0].version_id, second.datasets[0].version_id} == {version.version_id}
    assert first.resources == msgspec.structs.replace(lock.limits, cpus=0.5)
    assert second.resources == lock.limits


def test_parameters_of_the_pipeline_reach_the_nodes_with_their_type(desk: Desk) -> None:
    nodes = {"a": {"notebook": "a.ipynb", "parameters": {"depth": "${parameters.depth}"}}}
    desk.project()
    desk.lock()
    message = msgspec.structs.replace(submission(nodes), pipeline=a_pipeline(nodes, parameters={"depth": 3}))
    default = desk.do(ED, "pipelines.submit", message, project="demo")
    given = msgspec.structs.replace(message, parameters={"depth": 5}, labels={"team": "red"}, priority=7)
    other = desk.do(ED, "pipelines.submit", given, project="demo")
    assert of(desk, rows(desk, default)[0].run_id).parameters == {"depth": 3}
    node = of(desk, rows(desk, other)[0].run_id)
    assert (node.parameters, node.labels, node.priority) == ({"depth": 5}, {"team": "red"}, 7)
    assert default.plan_hash != other.plan_hash


def only(**node: Any) -> dict[str, Any]:
    return {"a": {"notebook": "a.ipynb", **node}}


@pytest.mark.parametrize(
    ("changes", "nodes", "code", "place"),
    [
        ({}, only(after=["a"]), "invalid_pipeline", "$.nodes.a.after[0]"),
        ({}, only(environment="gone"), "invalid_pipeline", "$.nodes.a.environment"),
        ({}, only(datasets={"w": "gone@1"}), "invalid_pipeline", "$.nodes.a.datasets.w"),
        ({}, only(resources={"cpus": 99}), "invalid_pipeline", "$.nodes.a.resources.cpus"),
        ({}, only(parameters={"width": 1}), "parameter_invalid", "$.nodes.a.parameters.width"),
        ({}, only(sweep={"grid": {"depth": [1, "x"]}}), "parameter_invalid", "$.nodes.a.sweep[1].parameters.depth"),
        ({}, only(parameters={"api_token": "x"}), "secret_in_parameters", "$.nodes.a.parameters.api_token"),
        ({"schemas": {}}, only(), "invalid_pipeline", "$.schemas"),
        ({"priority": 101}, only(), "invalid_pipeline", "$.priority"),
        ({"labels": {"": "x"}}, only(), "invalid_pipeline", "$.labels"),
        ({"parameters": {"depth": 1}}, only(), "invalid_pipeline", "$.parameters.depth"),
        ({"file_digest": "md5:1"}, only(), "invalid_code_ref", "$.file_digest"),
        ({"code": msgspec.structs.replace(CODE, path="../p.yaml")}, FORK, "invalid_code_ref", "$.code.path"),
        ({"code": msgspec.structs.replace(CODE, path="p.ipynb")}, FORK, "invalid_code_ref", "$.code.path"),
        ({"code": msgspec.structs.replace(CODE, commit="main")}, FORK, "invalid_code_ref", "$.code.commit"),
        ({"code": msgspec.structs.replace(CODE, path="d/" * 220 + "p.yaml")}, only(notebook="n" * 120 + ".ipynb"),
         "invalid_pipeline", "$.pipeline.nodes.a.notebook"),
    ],
)  # fmt: skip
def test_a_submission_with_a_fault_is_refused_with_its_place_and_makes_nothing(
    desk: Desk, changes: dict[str, Any], nodes: dict[str, Any], code: str, place: str
) -> None:
    desk.project()
    desk.lock()
    message = msgspec.structs.replace(submission(nodes), **changes)
    with pytest.raises(InvalidError) as refused:
        desk.do(ED, "pipelines.submit", message, project="demo")
    assert (refused.value.code, refused.value.faults[0].path) == (code, place)
    assert desk.do(VIC, "pipelines.list", PipelineListQuery(), project="demo").items == []
    assert desk.lease() is None


@pytest.mark.parametrize("where", ["file", "submission"])
def test_a_secret_among_the_pipelines_own_parameters_is_refused_and_not_repeated(desk: Desk, where: str) -> None:
    desk.project()
    desk.lock()
    value = "ghp_" + "a1B2" * 9
    declared = {"note": value} if where == "file" else {"note": ""}
    message = msgspec.structs.replace(
        submission(FORK),
        pipeline=a_pipeline(FORK, parameters=declared),
        parameters={"note": value} if where == "submission" else {},
    )
    with pytest.raises(InvalidError) as refused:
        desk.do(ED, "pipelines.submit", message, project="demo")
    assert (refused.value.code, refused.value.faults[0].path) == ("secret_in_parameters", "$.parameters.note")
    assert value not in f"{refused.value.detail}{refused.value.faults}{refused.value.remedy}"


def test_a_priority_beyond_the_projects_quota_is_refused_at_once(desk: Desk) -> None:
    desk.project()
    desk.lock()
    desk.do(ADA, "quotas.put", PutQuota(max_priority=5), project="demo")
    with pytest.raises(InvalidError) as refused:
        desk.do(ED, "pipelines.submit", submission(FORK, priority=6), project="demo")
    assert refused.value.code == "priority_limit_exceeded"


def test_a_pipeline_run_of_another_project_is_not_there(desk: Desk) -> None:
    run = submit(desk, FORK)
    desk.project("other")
    for operation, message in (
        ("pipelines.read", None),
        ("pipelines.nodes", NodeListQuery()),
        ("pipelines.graph", GraphQuery()),
        ("pipelines.cancel", CancelPipeline()),
        ("pipelines.repair", None),
    ):
        with pytest.raises(MissingError):
            desk.do(ADA, operation, message, project="other", pipeline=run.pipeline_run_id)


def test_the_graph_shows_nodes_edges_and_states_page_by_page(desk: Desk) -> None:
    run = submit(desk, CHAIN)
    finish(desk, "clean.csv")
    path = {"project": "demo", "pipeline": run.pipeline_run_id}
    whole: PipelineGraph = desk.do(VIC, "pipelines.graph", GraphQuery(), **path)
    assert [(node.name, node.state) for node in whole.nodes] == [
        ("prepare", NodeState.SUCCEEDED), ("train", NodeState.RUNNING), ("evaluate", NodeState.WAITING),
    ]  # fmt: skip
    assert [(edge.parent, edge.child, edge.artifacts) for edge in whole.edges] == [
        ("prepare", "train", ["clean.csv"]), ("prepare", "evaluate", []), ("train", "evaluate", ["model.bin"]),
    ]  # fmt: skip
    part: PipelineGraph = desk.do(VIC, "pipelines.graph", GraphQuery(limit=1, offset=1), **path)
    assert ([node.name for node in part.nodes], part.total) == (["train"], 3)


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


def test_the_lists_filter_by_name_and_state(desk: Desk) -> None:
    run = submit(desk, FORK)
    for query, found in (
        (PipelineListQuery(), [run.pipeline_run_id]),
        (PipelineListQuery(name="wine", state=PipelineState.RUNNING), [run.pipeline_run_id]),
        (PipelineListQuery(name="beer"), []),
        (PipelineListQuery(state=PipelineState.FAILED), []),
    ):
        page = desk.do(VIC, "pipelines.list", query, project="demo")
        assert [each.pipeline_run_id for each in page.items] == found
    path = {"project": "demo", "pipeline": run.pipeline_run_id}
    page = desk.do(VIC, "pipelines.nodes", NodeListQuery(limit=2), **path)
    rest = desk.do(VIC, "pipelines.nodes", NodeListQuery(limit=2, cursor=page.next_cursor), **path)
    assert [row.node for row in page.items + rest.items] == ["a", "b", "c"]
    assert [row.node for row in desk.do(VIC, "pipelines.nodes", NodeListQuery(node="b"), **path).items] == ["b"]
    with pytest.raises(InvalidError, match="cursor"):
        desk.do(VIC, "pipelines.nodes", NodeListQuery(cursor="x"), **path)


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
