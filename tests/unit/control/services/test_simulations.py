# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A policy that is only tried says what it would have changed, and leaves no trace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from animus_contracts.approvals import ApprovalVerdict, DecideApproval
from animus_contracts.pages import ApprovalListQuery, NamedListQuery
from animus_contracts.policies import Effect, PolicyState, PutPolicy
from animus_contracts.runs import Run
from animus_contracts.simulations import SimulatePolicy, Simulation
from animus_control.domain.errors import AnimusError
from animus_control.domain.simulations import completed, is_complete
from tests.unit.control.services.desk import ADA, ED, VIC, Desk

NO_DEEP_RUNS = '@id("deep") @reason("no deep runs") forbid (principal, action, resource) when {{ {} }};'
SEEDED = NO_DEEP_RUNS.format('context.limitations.contains("seed_not_set")')
APPROVED = NO_DEEP_RUNS.format('context.limitations.contains("seed_not_set") && !(context has approval)')
NOTHING = NO_DEEP_RUNS.format("false")
LOW = NO_DEEP_RUNS.format("context.priority > 10")


def simulate(desk: Desk, cedar: str, **more: Any) -> Simulation:
    message = SimulatePolicy(name="mine", cedar=cedar, **more)
    simulation: Simulation = desk.do(ADA, "policies.simulate", message, project="demo")
    return simulation


def put(desk: Desk, cedar: str, name: str = "mine", state: PolicyState = PolicyState.ACTIVE) -> None:
    desk.do(ADA, "policies.put", PutPolicy(name=name, cedar=cedar, state=state), project="demo")


def history(desk: Desk) -> tuple[Run, Run]:
    """Submit a run without a seed and one with it."""
    desk.project()
    message = desk.submission()
    unseeded = desk.submit(message)
    desk.later(60)
    seeded = desk.submit(desk.submission(seed=1))
    desk.later(60)
    return unseeded, seeded


def test_a_stricter_policy_names_the_runs_it_would_have_refused(any_desk: Desk) -> None:
    desk = any_desk
    unseeded, _ = history(desk)

    found = simulate(desk, SEEDED)

    (change,) = found.newly_refused
    assert (found.judged, found.unchanged, found.newly_allowed, found.needs_approval) == (2, 1, [], [])
    assert (change.run_id, change.created_by, change.created_at) == (unseeded.run_id, "user:ed", unseeded.created_at)
    assert (change.before, change.after, change.reason) == (Effect.ALLOW, Effect.DENY, "no deep runs")
    assert change.deciding == ["project/mine/deep"]


def test_a_policy_that_wants_an_approval_names_the_runs_that_would_have_waited(desk: Desk) -> None:
    unseeded, _ = history(desk)

    found = simulate(desk, APPROVED)

    assert [(change.run_id, change.after) for change in found.needs_approval] == [
        (unseeded.run_id, Effect.REQUIRE_APPROVAL)
    ]


def test_a_milder_text_of_the_same_policy_names_refused_submissions(any_desk: Desk) -> None:
    desk = any_desk
    history(desk)
    put(desk, SEEDED)
    with pytest.raises(AnimusError):
        desk.submit(desk.submission())

    found = simulate(desk, NOTHING)

    (change,) = found.newly_allowed
    assert (found.judged, change.run_id, change.before) == (3, None, Effect.DENY)


def test_a_submission_counts_once_however_often_it_was_judged(desk: Desk) -> None:
    desk.project()
    put(desk, APPROVED)
    run = desk.submit(desk.submission())
    (approval,) = desk.do(VIC, "approvals.list", ApprovalListQuery(), project="demo").items
    message = DecideApproval(verdict=ApprovalVerdict.APPROVE)
    desk.do(ADA, "approvals.decide", message, project="demo", approval=approval.approval_id)

    found = simulate(desk, NOTHING)

    assert (found.judged, [change.run_id for change in found.newly_allowed]) == (1, [run.run_id])


def test_only_the_newest_are_judged_and_only_after_the_moment_asked_for(any_desk: Desk) -> None:
    desk = any_desk
    _, seeded = history(desk)

    newest, recent, all_of_them = (
        simulate(desk, NOTHING, limit=1),
        simulate(desk, NOTHING, since=seeded.created_at - timedelta(seconds=1)),
        simulate(desk, NOTHING),
    )

    assert [(each.judged, each.truncated) for each in (newest, recent, all_of_them)] == [
        (1, True), (1, False), (2, False),
    ]  # fmt: skip


def test_nothing_is_stored_not_even_in_the_audit_log(desk: Desk) -> None:
    history(desk)
    before = desk.audit()

    simulate(desk, SEEDED)

    assert desk.audit() == before
    assert desk.do(VIC, "policies.list", NamedListQuery(), project="demo").items == []


def test_other_projects_are_not_looked_at(desk: Desk) -> None:
    history(desk)
    desk.project("other")

    found = desk.do(ADA, "policies.simulate", SimulatePolicy(name="mine", cedar=SEEDED), project="other")

    assert found.judged == 0


@pytest.mark.parametrize(
    ("cedar", "words"),
    [
        ("forbid (principal, action", "does not parse"),
        ("forbid (principal, action, resource) when { context.color == 1 };", "does not fit"),
        ("", "no policy"),
    ],
)
def test_a_malformed_policy_is_refused_in_the_engines_words(desk: Desk, cedar: str, words: str) -> None:
    desk.project()

    with pytest.raises(AnimusError) as caught:
        simulate(desk, cedar)

    assert (caught.value.code, words in caught.value.detail) == ("invalid_policy", True)


def test_an_editor_may_not_try_policies(desk: Desk) -> None:
    desk.project()

    with pytest.raises(AnimusError) as caught:
        desk.do(ED, "policies.simulate", SimulatePolicy(name="mine", cedar=SEEDED), project="demo")

    assert caught.value.code == "forbidden"


def test_facts_that_old_submissions_lack_are_filled_in_and_counted(desk: Desk) -> None:
    run, _ = history(desk)
    decision = desk.do(VIC, "policy_decisions.read", project="demo", decision=run.policy_decision_id)
    old = {key: value for key, value in decision.context.items() if key not in {"priority", "retries"}}

    assert (is_complete(decision.context), is_complete(old)) == (True, False)
    assert completed(old) == {**decision.context, "priority": 0, "retries": 0}
    assert (simulate(desk, LOW).judged, simulate(desk, LOW).newly_refused) == (2, [])
