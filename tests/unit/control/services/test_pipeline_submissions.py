# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong with a pipeline is said before anything of it is made, and what was bound then stays bound."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from animus_contracts.pipeline_runs import PipelineListQuery
from animus_contracts.quotas import PutQuota
from animus_control.domain.errors import InvalidError
from tests.unit.control.services.desk import ADA, ED, VIC, Desk
from tests.unit.control.services.flows import CODE, FORK, a_pipeline, finish, of, rows, submission


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
