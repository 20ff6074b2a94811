# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A node is submitted with what the pipeline run's owner may do when it is the node's turn."""

from __future__ import annotations

import pytest

from animus_contracts.pipeline_runs import NodeState, PipelineState
from animus_contracts.policies import PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import RunState
from animus_control.domain.errors import ConflictError
from animus_control.domain.identity import EVERY_PROJECT, Principal, PrincipalKind
from tests.unit.control.services.desk import ADA, Desk
from tests.unit.control.services.flows import CHAIN, FORK, begin, read, rows, states, submission, submit, sweep


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
