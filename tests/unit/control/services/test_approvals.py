# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that wants an approval waits, and is decided once, by another person, and by the policies again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from animus_contracts.approvals import Approval, ApprovalState, ApprovalVerdict, DecideApproval, ProjectApproval
from animus_contracts.audit import Outcome
from animus_contracts.pages import ApprovalListQuery, InboxQuery, Page
from animus_contracts.policies import Effect, PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import CancelRun, Limitation, Run, RunState
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import EVERY_PROJECT, SYSTEM, Principal, PrincipalKind
from animus_control.services.approvals import expire_approvals
from tests.unit.control.services.desk import ADA, ED, LOCAL, NOBODY, VIC, Desk

GATE = '@id("gate") @reason("training is approved by a second person") forbid (principal, action, resource) {};'
ANYONE = GATE.format("unless { context has approval }")
BOSS_ONLY = GATE.format('unless { context has approval && context.approval.by == "user:boss" }')
NO_ONE = '@id("gate") @missing("approval") @reason("frozen") forbid (principal, action, resource);'
BOSS = Principal(name="boss", kind=PrincipalKind.USER, ceiling={EVERY_PROJECT: Role.ADMIN})
ROBOT = Principal(name="robot", kind=PrincipalKind.SERVICE, ceiling={EVERY_PROJECT: Role.ADMIN})
APPROVE = DecideApproval(verdict=ApprovalVerdict.APPROVE, comment="go")
REFUSE = DecideApproval(verdict=ApprovalVerdict.REFUSE, comment="too big")


def waiting(desk: Desk, cedar: str = ANYONE, who: Principal = ED) -> Run:
    """Submit a run under a policy; boss and robot administer the project besides ada."""
    desk.project()
    for subject_type, person in ((SubjectType.USER, BOSS), (SubjectType.SERVICE, ROBOT)):
        binding = PutRoleBinding(subject_type=subject_type, subject=person.name, role=Role.ADMIN)
        desk.do(ADA, "role_bindings.put", binding, project="demo")
    desk.do(ADA, "policies.put", PutPolicy(name="gate", cedar=cedar), project="demo")
    return desk.submit(desk.submission(), who)


def approval_of(desk: Desk, run: Run) -> Approval:
    page = desk.do(VIC, "approvals.list", ApprovalListQuery(run_id=run.run_id), project="demo")
    assert len(page.items) == 1
    found: Approval = page.items[0]
    return found


def decide(desk: Desk, run: Run, who: Principal, message: DecideApproval = APPROVE) -> Approval:
    approval = approval_of(desk, run)
    decided: Approval = desk.do(who, "approvals.decide", message, project="demo", approval=approval.approval_id)
    return decided


def expire(desk: Desk) -> int:
    call = desk.call(SYSTEM)
    return desk.write(lambda uow: expire_approvals(uow, call))


def test_a_run_that_wants_an_approval_waits_and_nobody_is_given_it(any_desk: Desk) -> None:
    desk = any_desk
    run = waiting(desk)

    decision = desk.do(VIC, "policy_decisions.read", project="demo", decision=run.policy_decision_id)
    assert (run.state, run.version, run.queued_at) == (RunState.AWAITING_APPROVAL, 1, None)
    assert (decision.effect, decision.missing) == (Effect.REQUIRE_APPROVAL, ["approval"])
    assert approval_of(desk, run) == Approval(
        approval_id=approval_of(desk, run).approval_id,
        project_id=run.project_id,
        run_id=run.run_id,
        decision_id=run.policy_decision_id,
        reason="training is approved by a second person",
        requested_by="user:ed",
        requested_at=desk.now,
        expires_at=desk.now + timedelta(days=7),
    )
    assert desk.lease() is None
    assert desk.actions(run.project_id)[-2:] == ["run.created", "approval.requested"]


def test_an_approved_run_is_judged_again_by_its_own_snapshot_and_queued(any_desk: Desk) -> None:
    desk = any_desk
    run = waiting(desk)
    desk.do(ADA, "policies.put", PutPolicy(name="later", cedar=NO_ONE), project="demo")
    desk.later(60)

    decided = decide(desk, run, ADA)

    final = desk.do(VIC, "policy_decisions.read", project="demo", decision=decided.final_decision_id)
    assert (decided.state, decided.decided_by, decided.comment) == (ApprovalState.APPROVED, "user:ada", "go")
    assert (final.effect, final.snapshot_id) == (Effect.ALLOW, run.policy_snapshot_id)
    assert final.context["approval"] == {"by": "user:ada"}
    assert (desk.run(run).state, desk.run(run).queued_at) == (RunState.QUEUED, desk.now)
    assert desk.leased().run_id == run.run_id


def test_a_refused_run_is_canceled_and_says_by_whom_and_why(any_desk: Desk) -> None:
    desk = any_desk
    run = waiting(desk)

    decided = decide(desk, run, BOSS, REFUSE)

    ended = desk.run(run)
    assert (decided.state, ended.state) == (ApprovalState.REFUSED, RunState.CANCELED)
    assert ended.failure is not None
    assert "user:boss refused it: too big" in ended.failure.summary


def test_an_approval_nobody_decides_expires_and_ends_its_run(any_desk: Desk) -> None:
    desk = any_desk
    run = waiting(desk)
    desk.later(timedelta(days=7).total_seconds() - 1)
    assert expire(desk) == 0
    desk.later(1)

    with pytest.raises(AnimusError) as caught:
        decide(desk, run, ADA)
    assert caught.value.code == "approval_not_pending"
    assert "expired" in caught.value.detail
    assert (expire(desk), expire(desk)) == (1, 0)
    assert (approval_of(desk, run).state, desk.run(run).state) == (ApprovalState.EXPIRED, RunState.CANCELED)


def test_canceling_a_waiting_run_withdraws_its_approval(desk: Desk) -> None:
    run = waiting(desk)

    desk.do(ED, "runs.cancel", CancelRun(reason="a mistake"), project="demo", run=run.run_id)

    withdrawn = approval_of(desk, run)
    assert (withdrawn.state, withdrawn.decided_by, withdrawn.comment) == (
        ApprovalState.WITHDRAWN,
        "user:ed",
        "a mistake",
    )
    assert desk.run(run).state is RunState.CANCELED


WHO: dict[str, tuple[Principal, str | None]] = {
    "another-admin": (BOSS, None),
    "platform-admin": (ADA, None),
    "requester": (ED, "approval_requires_second_person"),
    "editor": (replace(ED, name="ella"), "forbidden"),
    "viewer": (VIC, "forbidden"),
    "service": (ROBOT, "forbidden"),
    "stranger": (NOBODY, "not_found"),
    "capped-token": (replace(BOSS, ceiling={"demo": Role.EDITOR}), "forbidden"),
    "executor": (LOCAL, "forbidden"),
}


def _end(desk: Desk, run: Run, state: ApprovalState) -> None:
    ends: dict[ApprovalState, Callable[[], object]] = {
        ApprovalState.PENDING: lambda: None,
        ApprovalState.APPROVED: lambda: decide(desk, run, ADA),
        ApprovalState.REFUSED: lambda: decide(desk, run, ADA, REFUSE),
        ApprovalState.EXPIRED: lambda: (desk.later(8 * 24 * 3600), expire(desk)),
        ApprovalState.WITHDRAWN: lambda: desk.do(
            ADA, "runs.cancel", CancelRun(), project="demo", run=run.run_id
        ),
    }  # fmt: skip
    ends[state]()


@pytest.mark.parametrize("verdict", [APPROVE, REFUSE], ids=lambda message: message.verdict.value)
@pytest.mark.parametrize("state", ApprovalState)
@pytest.mark.parametrize("who", WHO)
def test_only_another_person_with_the_right_decides_and_only_once(
    desk: Desk, who: str, state: ApprovalState, verdict: DecideApproval
) -> None:
    run = waiting(desk)
    for name in ("ed", "ella"):  # the requester could, by role, approve; they may not
        role = Role.ADMIN if name == "ed" else Role.EDITOR
        binding = PutRoleBinding(subject_type=SubjectType.USER, subject=name, role=role)
        desk.do(ADA, "role_bindings.put", binding, project="demo")
    _end(desk, run, state)
    before, principal, code = approval_of(desk, run), *WHO[who]
    code = code or (None if state is ApprovalState.PENDING else "approval_not_pending")

    if code is None:
        after = desk.do(principal, "approvals.decide", verdict, project="demo", approval=before.approval_id)
        wanted = ApprovalState.APPROVED if verdict is APPROVE else ApprovalState.REFUSED
        assert (after.state, after.decided_by) == (wanted, principal.subject)
        return
    with pytest.raises(AnimusError) as caught:
        desk.do(principal, "approvals.decide", verdict, project="demo", approval=before.approval_id)
    assert caught.value.code == code
    assert approval_of(desk, run) == before


def test_a_policy_that_names_its_approver_lets_nobody_else_approve_and_the_run_keeps_waiting(desk: Desk) -> None:
    run = waiting(desk, BOSS_ONLY)

    with pytest.raises(AnimusError) as caught:
        decide(desk, run, ADA)

    record = desk.audit()[-1]
    assert caught.value.code == "policy_denied"
    assert (record.action, record.outcome, record.actor) == ("approval.denied", Outcome.DENIED, "user:ada")
    refused = desk.do(VIC, "policy_decisions.read", project="demo", decision=record.details["decision_id"])
    assert (refused.effect, refused.context["approval"]["by"]) == (Effect.DENY, "user:ada")
    assert (approval_of(desk, run).state, desk.run(run).state) == (ApprovalState.PENDING, RunState.AWAITING_APPROVAL)
    decide(desk, run, BOSS)
    assert desk.run(run).state is RunState.QUEUED


def test_an_annotation_alone_makes_no_run_wait(desk: Desk) -> None:
    with pytest.raises(AnimusError) as caught:
        waiting(desk, NO_ONE)

    assert caught.value.code == "policy_denied"


def test_the_requester_is_not_counted_among_who_could_approve(desk: Desk) -> None:
    only_boss = BOSS_ONLY

    with pytest.raises(AnimusError) as caught:
        waiting(desk, only_boss, BOSS)

    assert caught.value.code == "policy_denied"


def test_a_refusal_says_why(desk: Desk) -> None:
    run = waiting(desk)

    with pytest.raises(AnimusError) as caught:
        decide(desk, run, ADA, DecideApproval(verdict=ApprovalVerdict.REFUSE, comment=" "))

    assert (caught.value.code, caught.value.faults[0].path) == ("invalid_request", "$.comment")


def test_what_is_found_missing_later_is_judged_with_the_approval(any_desk: Desk) -> None:
    desk = any_desk
    run = waiting(desk)
    decide(desk, run, ADA)
    lease = desk.leased()

    desk.start(lease, LOCAL, Limitation.NETWORK_NOT_ISOLATED)

    assert desk.run(run).state is RunState.RUNNING


def test_who_waits_sees_the_approval_come_and_go(desk: Desk) -> None:
    run = waiting(desk)
    decide(desk, run, ADA)

    events = desk.read(lambda uow: uow.events.after(run.project_id, 0, run_id=run.run_id))

    told = [(event.type, event.data["state"]) for event in events]
    assert told == [
        ("run.state", "awaiting_approval"),
        ("approval.changed", "pending"),
        ("approval.changed", "approved"),
        ("run.state", "queued"),
    ]
    story: Any = desk.do(VIC, "runs.explain", project="demo", run=run.run_id)
    assert story.approval.decided_by == "user:ada"


def test_approvals_of_another_project_are_unknown_here(desk: Desk) -> None:
    run = waiting(desk)
    desk.project("other")
    approval = approval_of(desk, run)

    with pytest.raises(AnimusError) as caught:
        desk.do(ADA, "approvals.decide", APPROVE, project="other", approval=approval.approval_id)

    assert caught.value.code == "not_found"


@pytest.mark.parametrize("role", [None, *Role])
@pytest.mark.parametrize(
    "ceiling", [{}, {"demo": Role.ADMIN}, {EVERY_PROJECT: Role.EDITOR}, {EVERY_PROJECT: Role.ADMIN}]
)
@pytest.mark.parametrize("by_group", [False, True])
def test_the_inbox_holds_the_approvals_of_projects_in_which_one_may_decide_and_of_no_other(
    desk: Desk, role: Role | None, ceiling: dict[str, Role], by_group: bool
) -> None:
    run = waiting(desk)
    amy = Principal(name="amy", kind=PrincipalKind.USER, groups=frozenset({"lab"}), ceiling=ceiling)
    if role is not None:
        kind, subject = (SubjectType.GROUP, "lab") if by_group else (SubjectType.USER, "amy")
        binding = PutRoleBinding(subject_type=kind, subject=subject, role=role)
        desk.do(ADA, "role_bindings.put", binding, project="demo")

    page = desk.do(amy, "approvals.inbox", InboxQuery(state=ApprovalState.PENDING))

    may = role is Role.ADMIN and Role.ADMIN in ceiling.values()
    asked = ProjectApproval(project="demo", approval=approval_of(desk, run))
    assert page == Page(items=[asked] if may else [])


def test_who_administers_the_platform_finds_every_approval_and_a_cursor_goes_on(desk: Desk) -> None:
    first = waiting(desk)
    second = desk.submit(desk.submission())
    root = replace(ADA, name="root")

    page = desk.do(root, "approvals.inbox", InboxQuery(limit=1))
    rest = desk.do(root, "approvals.inbox", InboxQuery(limit=1, cursor=page.next_cursor))

    assert [each.approval.run_id for each in (*page.items, *rest.items)] == [second.run_id, first.run_id]
    decide(desk, first, ADA)
    pending = desk.do(root, "approvals.inbox", InboxQuery(state=ApprovalState.PENDING))
    assert [each.approval.run_id for each in pending.items] == [second.run_id]
    with pytest.raises(AnimusError, match="cursor"):
        desk.do(root, "approvals.inbox", InboxQuery(cursor="guessed"))
