# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Whether an approval would help is what the policies say when they are given one, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from animus_contracts.digests import canonical
from animus_contracts.policies import Effect, PolicyText
from animus_control.domain.approvals import ANYONE, MOST_APPROVERS, candidates, weigh, with_approval
from animus_control.domain.policies import SUBMIT, Request, policy_digest

PERMIT = "permit (principal, action, resource);"
FORBID = '@id("gate") {} forbid (principal, action, resource) {};'
CONTEXT = {"actor": {"role": "editor"}, "seeded": False}
POLICIES = {
    "nothing": PERMIT,
    "anyone": PERMIT + FORBID.format("", "unless { context has approval }"),
    "eve": PERMIT + FORBID.format("", 'unless { context has approval && context.approval.by == "user:eve" }'),
    "not-eve": PERMIT + FORBID.format("", 'unless { context has approval && context.approval.by != "user:eve" }'),
    "annotated": PERMIT + FORBID.format('@missing("approval")', ""),
    "permit-by-approval": "permit (principal, action, resource) when { context has approval };",
    "default-deny": "permit (principal, action, resource) when { false };",
    "two-rules": PERMIT
    + FORBID.format("", "unless { context has approval }")
    + '@id("other") forbid (principal, action, resource) when { !context.seeded };',
}
NO_ONE, SOMEBODY, EVE = (), (ANYONE,), (ANYONE, "user:eve")
A, D, R = Effect.ALLOW, Effect.DENY, Effect.REQUIRE_APPROVAL


def judged(name: str, approvers: Iterator[str] | tuple[str, ...]) -> tuple[Effect, list[str]]:
    cedar = POLICIES[name]
    text = PolicyText(name="mine", version=1, origin="project", digest=policy_digest(cedar), cedar=cedar)
    request = Request(subject="user:ed", action=SUBMIT, project="demo", context=canonical(CONTEXT).decode())
    judgement = weigh([text], request, CONTEXT, approvers)
    return judgement.effect, judgement.missing


@pytest.mark.parametrize(
    ("name", "without", "somebody", "with_eve"),
    [
        ("nothing", A, A, A),
        ("anyone", D, R, R),
        ("eve", D, D, R),
        ("not-eve", D, R, R),
        ("annotated", D, D, D),
        ("permit-by-approval", D, R, R),
        ("default-deny", D, D, D),
        ("two-rules", D, D, D),
    ],
)
def test_a_submission_waits_exactly_when_an_approval_would_turn_the_refusal(
    name: str, without: Effect, somebody: Effect, with_eve: Effect
) -> None:
    found = [judged(name, approvers) for approvers in (NO_ONE, SOMEBODY, EVE)]

    assert [effect for effect, _ in found] == [without, somebody, with_eve]
    assert all(("approval" in missing) == (effect is R or name == "annotated") for effect, missing in found)


def test_approvers_are_not_looked_at_unless_the_policies_refuse() -> None:
    def never() -> Iterator[str]:
        pytest.fail("nobody had to be asked")
        yield ""

    assert judged("nothing", never())[0] is A


def test_the_requester_is_never_an_approver_and_the_number_is_bounded() -> None:
    many = [f"user:p{number:03}" for number in range(100)]

    assert candidates(["user:eve", "user:ed", "user:eve"], "user:ed") == [ANYONE, "user:eve"]
    assert len(candidates(many, "user:p000")) == MOST_APPROVERS + 1
    assert "user:p000" not in candidates(many, "user:p000")


def test_an_approval_is_added_to_the_facts_and_changes_none() -> None:
    assert with_approval(CONTEXT, "user:eve") == {**CONTEXT, "approval": {"by": "user:eve"}}
    assert "approval" not in CONTEXT
