# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A retry whose owner's groups nobody can tell waits for the Hub, and then it is decided as if the run ended now."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from itertools import product
from typing import Any

import pytest

from animus_contracts.audit import AuditRecord
from animus_contracts.comparisons import ReplayRun
from animus_contracts.executions import Verdict
from animus_contracts.policies import PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import CancelRun, Failure, FailureReason, Run, RunState
from animus_contracts.schedules import CreateSchedule
from animus_control.domain.errors import DeniedError
from animus_control.domain.identity import SYSTEM
from animus_control.domain.user_groups import KnownGroups
from animus_control.services.firings import fire_due
from animus_control.services.repeats import repetitions_of, resume_retries
from animus_control.services.user_groups import users_to_ask
from tests.unit.control.services.desk import ADA, ED, VIC, Desk

BROKE = Failure(reason=FailureReason.INFRASTRUCTURE, summary="The machine is gone.")
WAITS = "the Hub has not said lately to which groups user:mia belongs"
SILENT = "the Hub cannot be reached"
MIA = replace(ED, name="mia", groups=frozenset({"lab"}))
NOT_FOR_GUESTS = '@id("guests") forbid (principal, action, resource) when { context.actor.groups.contains("guests") };'
HOUR = 3600


def bind(desk: Desk, kind: SubjectType, subject: str, role: Role) -> None:
    desk.do(ADA, "role_bindings.put", PutRoleBinding(subject_type=kind, subject=subject, role=role), project="demo")


def submitted(desk: Desk, retries: int = 1) -> Run:
    """Let Mia, who is an editor by her group, submit a run that may be retried."""
    desk.project()
    bind(desk, SubjectType.GROUP, "lab", Role.EDITOR)
    return desk.submit(desk.submission(retries=retries), MIA)


def broken(desk: Desk, run: Run) -> Run:
    """Let the next run, which must be this one, fail by the platform's fault."""
    lease = desk.leased()
    assert lease.run_id == run.run_id
    desk.start(lease)
    desk.end(lease, Verdict.FAILED, BROKE)
    return desk.run(run)


def held(desk: Desk) -> Run:
    run = submitted(desk)
    desk.hub_says("mia", {"lab"}, ago=31)
    return broken(desk, run)


def tick(desk: Desk, seconds: float = 0) -> int:
    desk.later(seconds)
    call = desk.call(SYSTEM)
    return desk.write(lambda uow: resume_retries(uow, call))


def retries_of(desk: Desk, run: Run) -> list[Run]:
    return desk.read(lambda uow: repetitions_of(uow, run, limit=10))


def is_held(desk: Desk, run: Run) -> bool:
    return desk.read(lambda uow: uow.held_retries.get(run.project_id, run.run_id)) is not None


def told(desk: Desk) -> list[tuple[str, str, dict[str, Any]]]:
    """Return what the audit log tells of retries: who did what, and the facts that say why."""
    found: list[AuditRecord] = [record for record in desk.audit() if record.action.startswith("run.retry_")]
    return [
        (
            record.actor,
            record.action.removeprefix("run.retry_"),
            {name: record.details[name] for name in ("code", "reason", "detail") if name in record.details},
        )
        for record in found
    ]


def hear(desk: Desk, word: str) -> None:
    """Let what is known of Mia be one of the things that can be."""
    if word == "never asked":
        desk.hub_says("mia", (), ago=10_000)
        desk.write(lambda uow: uow.user_groups.put(KnownGroups(name="mia")))
    elif word == "silent":
        desk.hub_says("mia", {"lab"}, ago=31)
        desk.hub_says("mia", (), failure=SILENT)
    else:
        groups: dict[str, Iterable[str] | None] = {"member": {"lab"}, "stranger": {"other"}, "gone": None}
        known, _, ago = word.partition(" ")
        desk.hub_says("mia", groups[known], ago=float(ago or 0))


FATES = {
    "member": "scheduled",
    "member 30": "scheduled",
    "stranger": "refused",
    "stranger 30": "refused",
    "gone": "refused",
    "member 30.001": "held",
    "stranger 31": "held",
    "gone 31": "held",
    "silent": "held",
    "never asked": "held",
}
"""What becomes of a retry, by what is known of its owner's groups."""


@pytest.mark.parametrize("word", FATES)
def test_what_becomes_of_a_retry_follows_from_what_the_hub_has_said_of_its_owner_lately(desk: Desk, word: str) -> None:
    run = submitted(desk)
    hear(desk, word)

    broken(desk, run)

    assert [event[1] for event in told(desk)] == [FATES[word]]
    assert (len(retries_of(desk, run)), is_held(desk, run)) == (FATES[word] == "scheduled", FATES[word] == "held")


@pytest.mark.parametrize(
    ("before", "after"), list(product([word for word in FATES if FATES[word] == "held"], FATES)), ids=str
)
def test_a_held_retry_is_decided_by_what_the_hub_says_next_and_by_nothing_it_said_before(
    desk: Desk, before: str, after: str
) -> None:
    run = submitted(desk)
    hear(desk, before)
    broken(desk, run)
    desk.later(60)
    hear(desk, after)

    tick(desk)

    fate = FATES[after]
    assert [event[1] for event in told(desk)] == ["held", fate][: 1 + (fate != "held")]
    assert (len(retries_of(desk, run)), is_held(desk, run)) == (fate == "scheduled", fate == "held")


def test_a_held_retry_is_made_in_its_owners_name_and_waits_its_time_from_then_on(any_desk: Desk) -> None:
    desk = any_desk
    run = held(desk)
    assert tick(desk, 59) == 0
    desk.hub_says("mia", {"lab"})
    assert [tick(desk), tick(desk)] == [1, 0]

    (made,) = retries_of(desk, run)
    assert (made.created_by, made.state, made.policy_snapshot_id) == (
        "user:mia", RunState.QUEUED, run.policy_snapshot_id,
    )  # fmt: skip
    assert made.not_before is not None
    assert 5 <= (made.not_before - desk.now).total_seconds() <= 6.25
    assert told(desk) == [
        ("executor:local", "held", {"reason": WAITS}),
        ("system:control-plane", "scheduled", {}),
    ]


def test_who_was_removed_from_the_group_while_the_hub_was_silent_gets_no_retry_when_it_speaks_again(
    desk: Desk,
) -> None:
    run = held(desk)
    desk.hub_says("mia", (), failure=SILENT)
    tick(desk, 120)
    desk.hub_says("mia", set())
    tick(desk)
    desk.hub_says("mia", {"lab"})
    tick(desk, 1)

    assert retries_of(desk, run) == []
    assert told(desk)[1:] == [
        (
            "system:control-plane",
            "refused",
            {"code": "forbidden", "detail": "user:mia has no role in the project 'demo' that includes run:submit."},
        )
    ]


def test_a_policy_that_forbids_to_a_group_forbids_a_held_retry_to_who_joined_it_since(desk: Desk) -> None:
    desk.project()
    desk.do(ADA, "policies.put", PutPolicy(name="guests", cedar=NOT_FOR_GUESTS), project="demo")
    bind(desk, SubjectType.GROUP, "lab", Role.EDITOR)
    run = desk.submit(desk.submission(retries=1), MIA)
    desk.hub_says("mia", {"lab"}, ago=31)
    broken(desk, run)
    desk.hub_says("mia", {"lab", "guests"})

    tick(desk)

    assert (retries_of(desk, run), is_held(desk, run)) == ([], False)
    assert [event[2].get("code") for event in told(desk)] == [None, "policy_denied"]
    assert "run.refused" in desk.actions()


def test_a_held_retry_of_an_archived_project_is_refused_when_the_hub_speaks(desk: Desk) -> None:
    run = held(desk)
    desk.do(ADA, "projects.archive", project="demo", if_match=1)
    desk.hub_says("mia", {"lab"})
    tick(desk)

    assert (retries_of(desk, run), told(desk)[-1][2]["code"]) == ([], "project_archived")


@pytest.mark.parametrize(("seconds", "is_over"), [(HOUR, False), (HOUR + 0.001, True)])
def test_a_retry_that_waited_an_hour_is_refused_and_what_it_waited_for_is_told(
    desk: Desk, seconds: float, is_over: bool
) -> None:
    run = held(desk)
    tick(desk, seconds)

    words = f"given up after 60 minutes: {WAITS}"
    given_up = [("system:control-plane", "refused", {"code": "service_unavailable", "detail": words})]
    assert told(desk)[1:] == given_up * is_over
    desk.hub_says("mia", {"lab"})
    tick(desk)
    assert len(retries_of(desk, run)) == (not is_over)


def test_a_canceled_run_whose_retry_is_held_is_not_retried_when_the_hub_speaks(desk: Desk) -> None:
    run = held(desk)
    for reason in ("not any more", "again"):
        stopped = desk.do(MIA, "runs.cancel", CancelRun(reason=reason), project="demo", run=run.run_id)
        assert stopped == run
    desk.hub_says("mia", {"lab"})
    tick(desk)

    assert (retries_of(desk, run), is_held(desk, run)) == ([], False)
    assert told(desk)[1:] == [("user:mia", "withdrawn", {"reason": "not any more"})]


def test_who_may_not_cancel_a_run_does_not_stop_its_held_retry(desk: Desk) -> None:
    run = held(desk)
    with pytest.raises(DeniedError, match="run:cancel"):
        desk.do(VIC, "runs.cancel", CancelRun(), project="demo", run=run.run_id)
    assert is_held(desk, run)


def test_what_a_run_used_is_counted_once_though_its_end_is_told_again_after_its_retry_was_held(desk: Desk) -> None:
    desk.project()
    bind(desk, SubjectType.GROUP, "lab", Role.EDITOR)
    run = desk.submit(desk.submission(retries=1), MIA)
    lease = desk.leased()
    desk.start(lease)
    desk.later(7)
    desk.hub_says("mia", {"lab"}, ago=31)
    desk.end(lease, Verdict.FAILED, BROKE)
    once = desk.do(VIC, "quotas.read", project="demo").usage
    desk.hub_says("mia", {"lab"})
    tick(desk)

    assert len(retries_of(desk, run)) == 1
    assert desk.do(VIC, "quotas.read", project="demo").usage.cpu_hours == once.cpu_hours > 0


def test_the_hub_is_asked_about_the_owner_of_a_held_retry_until_it_is_decided(desk: Desk) -> None:
    def asked() -> list[str]:
        call = desk.call(SYSTEM)
        return desk.read(lambda uow: users_to_ask(uow, call))

    held(desk)
    assert asked() == ["mia"]
    desk.hub_says("mia", set())
    tick(desk)
    desk.later(60)
    assert asked() == []


def known_since(desk: Desk, name: str = "mia") -> datetime | None:
    known = desk.read(lambda uow: uow.user_groups.get(name))
    return known.as_of if known else None


AGAIN = {"runs.rerun": None, "runs.replay": ReplayRun()}


@pytest.mark.parametrize("operation", ["runs.submit", *AGAIN])
@pytest.mark.parametrize("retries", [0, 1])
def test_a_run_that_fails_before_the_hub_is_asked_about_its_owner_is_retried_as_it_was_submitted_by_them(
    desk: Desk, operation: str, retries: int
) -> None:
    first = submitted(desk, retries)
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease)
    message = desk.submission(retries=retries)
    desk.hub_says("mia", {"lab"}, ago=31)
    before = known_since(desk)

    path = {} if operation == "runs.submit" else {"run": first.run_id}
    made = desk.do(MIA, operation, AGAIN.get(operation, message), project="demo", **path)

    assert known_since(desk) == (desk.now if retries else before)
    broken(desk, made)
    assert len(retries_of(desk, made)) == retries


def test_what_the_hub_has_just_said_of_a_caller_is_stored_when_it_is_news(desk: Desk) -> None:
    run = submitted(desk)
    message = desk.submission(retries=1)
    for seconds, who, is_news in ((15, MIA, False), (0.001, MIA, True), (1, replace(MIA, groups=frozenset()), True)):
        bind(desk, SubjectType.USER, "mia", Role.EDITOR)
        desk.silent.add("mia")
        desk.later(seconds)
        desk.submit(message, who)
        assert (known_since(desk) == desk.now) is is_news
        known = desk.read(lambda uow: uow.user_groups.get("mia"))
        assert known is not None
        assert known.groups == who.groups
    assert run.retries == 1


def test_a_run_submitted_in_somebodys_name_makes_nothing_known_of_their_groups(desk: Desk) -> None:
    desk.project()
    bind(desk, SubjectType.USER, "mia", Role.EDITOR)
    message = CreateSchedule(name="nightly", cron="* * * * *", submission=desk.submission(retries=1))
    desk.do(MIA, "schedules.create", message, project="demo")
    desk.later(60)
    desk.hub_says("mia", {"lab"}, ago=29)
    before, call = known_since(desk), desk.call(SYSTEM)
    desk.write(lambda uow: fire_due(uow, call))

    assert desk.lease() is not None
    assert known_since(desk) == before


def test_a_retry_of_a_retry_is_held_too(desk: Desk) -> None:
    run = submitted(desk, retries=2)
    broken(desk, run)
    (first,) = retries_of(desk, run)
    desk.silent.add("mia")
    desk.later(40)
    desk.write(lambda uow: uow.queue.release(desk.now))
    broken(desk, first)
    assert (is_held(desk, first), retries_of(desk, first)) == (True, [])

    desk.hub_says("mia", {"lab"})
    tick(desk)

    (second,) = retries_of(desk, first)
    assert second.origin is not None
    assert second.origin.number == 2
