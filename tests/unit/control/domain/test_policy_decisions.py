# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies decide: default deny, forbid wins, an error denies, and what is missing is named."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest

from animus_contracts.digests import canonical
from animus_contracts.policies import Effect, Policy, PolicyState, PolicyText
from animus_contracts.projects import Role
from animus_contracts.runs import Limitation, RunClass
from animus_control.domain.errors import InvalidError
from animus_control.domain.identity import Principal, PrincipalKind
from animus_control.domain.limits import Limits
from animus_control.domain.policies import (
    START,
    SUBMIT,
    Judgement,
    Request,
    build_context,
    check_policy,
    in_force,
    judge,
    platform_policies,
    policy_digest,
    snapshot_digest,
)
from tests.ports.records_of_a_project import PROJECT_ID, a_lock, a_run
from tests.unit.control.moments import NOW

ANN = Principal(name="ann", kind=PrincipalKind.USER)
PERMIT_ALL = "permit (principal, action, resource);"


def asked(*policies: PolicyText, action: str = SUBMIT, role: Role = Role.EDITOR, **facts: Any) -> Judgement:
    run = a_run(**{key: facts.pop(key) for key in ("run_class", "limitations") if key in facts})
    context = build_context(run, a_lock(), ANN, role) | facts
    return judge(policies, a_request(context, action))


def a_request(context: dict[str, Any], action: str = SUBMIT) -> Request:
    return Request(subject="user:ann", action=action, project="demo", context=canonical(context).decode())


def a_text(cedar: str, name: str = "mine") -> PolicyText:
    return PolicyText(name=name, version=1, origin="project", digest=policy_digest(cedar), cedar=cedar)


def a_policy(name: str, version: int, state: PolicyState = PolicyState.ACTIVE) -> Policy:
    return Policy(
        policy_id=f"{name}{version}", project_id=PROJECT_ID, name=name, version=version, description="",
        cedar=PERMIT_ALL, digest=policy_digest(PERMIT_ALL), state=state, created_at=NOW, created_by="user:ann",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("run_class", "limitation", "action"), list(product(RunClass, [None, *Limitation], [SUBMIT, START]))
)
def test_production_refuses_every_limitation_and_development_none(
    run_class: RunClass, limitation: Limitation | None, action: str
) -> None:
    limitations = [limitation] if limitation else []

    decision = asked(*platform_policies(), action=action, run_class=run_class, limitations=limitations)

    is_refused = run_class is RunClass.PRODUCTION and limitation is not None
    assert decision.effect is (Effect.DENY if is_refused else Effect.ALLOW)
    if is_refused:
        assert "platform/production/no-limitation" in decision.deciding
        assert decision.reason
    else:
        assert decision.deciding == ["platform/members/members-may-run"]


@pytest.mark.parametrize(("role", "allowed"), [(Role.VIEWER, False), (Role.EDITOR, True), (Role.ADMIN, True)])
def test_members_who_may_write_may_run(role: Role, *, allowed: bool) -> None:
    assert (asked(*platform_policies(), role=role).effect is Effect.ALLOW) is allowed


def test_dirty_worktree_is_refused_with_the_deciding_policies_and_the_missing_fact() -> None:
    decision = asked(*platform_policies(), run_class=RunClass.PRODUCTION, limitations=[Limitation.DIRTY_WORKTREE])

    assert decision == Judgement(
        effect=Effect.DENY,
        deciding=["platform/production/clean-worktree", "platform/production/no-limitation"],
        missing=["commit"],
        reason=(
            "a production run executes committed code only: the worktree had changes that are not in the commit; "
            "a production run has no limitation of any kind"
        ),
    )


@pytest.mark.parametrize("field", ["commit", "env_hash"])
def test_production_without_commit_or_lock_is_refused(field: str) -> None:
    run = a_run(run_class=RunClass.PRODUCTION)
    context = build_context(run, a_lock(), ANN, Role.EDITOR)
    section = "code" if field == "commit" else "environment"
    context[section] = context[section] | {field: ""}

    decision = judge(platform_policies(), a_request(context))

    assert decision.deciding == ["platform/production/commit"]


def test_nothing_is_allowed_without_a_policy_that_permits_it() -> None:
    assert asked() == Judgement(effect=Effect.DENY, deciding=[], missing=[], reason="no policy permits it")


def test_forbid_wins_over_every_permit() -> None:
    forbid = a_text('@id("freeze") @reason("change freeze") forbid (principal, action, resource);', "freeze")

    decision = asked(*platform_policies(), a_text(PERMIT_ALL), forbid)

    assert decision == Judgement(
        effect=Effect.DENY, deciding=["project/freeze/freeze"], missing=[], reason="change freeze"
    )


def test_policy_that_cannot_be_evaluated_denies_instead_of_being_skipped() -> None:
    broken = a_text("forbid (principal, action, resource) when { context.nothing.here == 1 };")

    decision = asked(a_text(PERMIT_ALL, "all"), broken)

    assert decision.effect is Effect.DENY
    assert "could not be evaluated" in decision.reason


@pytest.mark.parametrize(
    "cedar",
    [
        '@missing("approval") forbid (principal, action, resource) unless { context has approval };',
        '@missing("approval") permit (principal, action, resource) when { context has approval };',
    ],
    ids=["forbidden-without", "permitted-only-with"],
)
def test_absent_fact_is_named_and_present_it_satisfies(cedar: str) -> None:
    policies = [a_text(cedar)] + ([a_text(PERMIT_ALL, "all")] if "forbid" in cedar else [])

    assert asked(*policies).missing == ["approval"]
    assert asked(*policies, approval={"by": "user:eve"}).effect is Effect.ALLOW


def test_policies_see_names_of_parameters_and_never_values() -> None:
    context = build_context(a_run(parameters={"depth": 4711}), a_lock(), ANN, Role.EDITOR)

    assert context["parameters"]["names"] == ["depth"]
    assert "4711" not in msgspec.json.encode(context).decode()


def test_newest_active_policies_follow_the_platforms() -> None:
    newest = [a_policy("b", 2), a_policy("c", 1, PolicyState.DISABLED), a_policy("a", 1)]

    names = [(text.origin, text.name, text.version) for text in in_force(newest)]

    assert names == [
        ("platform", "members", 1),
        ("platform", "production", 1),
        ("project", "a", 1),
        ("project", "b", 2),
    ]


def test_snapshot_digest_changes_with_any_policy_and_only_then() -> None:
    one, other = in_force([a_policy("a", 1)]), in_force([a_policy("a", 2)])

    assert snapshot_digest(one) == snapshot_digest(in_force([a_policy("a", 1)]))
    assert len({snapshot_digest(one), snapshot_digest(other), snapshot_digest(in_force([]))}) == 3


@pytest.mark.parametrize(
    ("cedar", "words"),
    [
        ("permit (", "does not parse"),
        ("", "contains no policy"),
        ("// only a comment", "contains no policy"),
        ("permit (principal == ?principal, action, resource);", "templates"),
        ('permit (principal, action, resource) when { context.run_clas == "x" };', "run_clas"),
        ('permit (principal, action == Action::"run:delete", resource);', "run:delete"),
        (
            '@id("a") permit (principal, action, resource); @id("a") permit (principal, action, resource);',
            "'project/mine/a'",
        ),
        ("permit (principal, action, resource);" + " " * 70_000, "at most"),
    ],
)
def test_unsound_policy_is_refused_in_words(cedar: str, words: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check_policy("mine", cedar, Limits())

    assert caught.value.code == "invalid_policy"
    assert words in caught.value.detail


def test_platforms_own_policies_are_sound() -> None:
    for text in platform_policies():
        check_policy(text.name, text.cedar, Limits())
