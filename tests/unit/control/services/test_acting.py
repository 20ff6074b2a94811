# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Whoever leaves a schedule behind keeps it going only as long as they may, by their own role or by their groups'."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from animus_contracts.inspections import NotebookFindings
from animus_contracts.pages import ListQuery
from animus_contracts.policies import PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.schedules import CreateSchedule, FiringState, Overlap, Schedule
from animus_contracts.tasks import EndTask, LeaseTask
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import EVERY_PROJECT, SYSTEM, Principal, PrincipalKind
from animus_control.domain.permissions import RANK
from animus_control.domain.user_groups import KnownGroups, counts
from animus_control.services.firings import fire_due, resume_firings
from animus_control.services.user_groups import note_groups, users_to_ask
from tests.unit.control.services.desk import ADA, ED, LOCAL, Desk
from tests.unit.control.services.timetable import NOON, firings

pytestmark = pytest.mark.usefixtures("at_noon")

MIA = Principal(name="mia", kind=PrincipalKind.USER, groups=frozenset({"lab"}), ceiling={EVERY_PROJECT: Role.ADMIN})
COMMIT = "0b" * 20
WAITS = "the Hub has not said lately to which groups user:mia belongs"
NOT_FOR_GUESTS = '@id("guests") forbid (principal, action, resource) when { context.actor.groups.contains("guests") };'


def bind(desk: Desk, kind: SubjectType, subject: str, role: Role | None) -> None:
    if role is not None:
        binding = PutRoleBinding(subject_type=kind, subject=subject, role=role)
        desk.do(ADA, "role_bindings.put", binding, project="demo")


def scheduled(desk: Desk, own: Role | None = None, by_group: Role | None = Role.EDITOR, **more: Any) -> Schedule:
    """Let Mia leave a schedule behind, with rights she has at noon as an editor; then she has the ones given."""
    desk.project()
    bind(desk, SubjectType.USER, "mia", Role.EDITOR)
    message = CreateSchedule(name="nightly", cron="*/10 * * * *", submission=desk.submission(), **more)
    schedule: Schedule = desk.do(MIA, "schedules.create", message, project="demo")
    bound = desk.do(ADA, "role_bindings.list", ListQuery(), project="demo").items
    (mine,) = [each for each in bound if each.subject == "mia"]
    desk.do(ADA, "role_bindings.delete", project="demo", binding=mine.binding_id)
    bind(desk, SubjectType.USER, "mia", own)
    bind(desk, SubjectType.GROUP, "lab", by_group)
    return schedule


def tick(desk: Desk, minutes: float = 0) -> None:
    desk.later(minutes * 60)
    call = desk.call(SYSTEM)
    desk.write(lambda uow: (fire_due(uow, call), resume_firings(uow, call)))


def audited(desk: Desk) -> list[tuple[str, str]]:
    fired = [record for record in desk.audit() if record.action == "schedule.fired"]
    return [(record.details["state"], record.details.get("reason", "")) for record in fired]


@pytest.mark.parametrize("own", [None, *Role])
@pytest.mark.parametrize("by_group", [None, *Role])
@pytest.mark.parametrize("groups", [{"lab"}, {"other"}, set(), None], ids=["member", "of-others", "of-none", "gone"])
def test_what_may_be_done_in_somebodys_name_is_what_they_may_then(
    desk: Desk, own: Role | None, by_group: Role | None, groups: set[str] | None
) -> None:
    scheduled(desk, own, by_group)
    desk.later(600)
    desk.hub_says("mia", groups)
    tick(desk)

    counted = [own] if groups is not None else []
    counted += [by_group] if groups == {"lab"} else []
    may = any(role is not None and RANK[role] >= RANK[Role.EDITOR] for role in counted)
    (firing,) = firings(desk)
    assert firing.state is (FiringState.FIRED if may else FiringState.REFUSED)


def test_who_was_removed_from_the_group_fires_nothing_more_and_the_log_says_why(desk: Desk) -> None:
    scheduled(desk, overlap=Overlap.ALLOW)
    desk.later(600)
    desk.hub_says("mia", {"lab"})
    tick(desk)
    desk.later(600)
    desk.hub_says("mia", set())
    tick(desk)

    refused, fired = firings(desk)
    assert (fired.state, refused.state) == (FiringState.FIRED, FiringState.REFUSED)
    assert audited(desk)[-1] == (FiringState.REFUSED, refused.reason)
    assert refused.reason == "user:mia has no role in the project 'demo' that includes run:submit."


@pytest.mark.parametrize(
    ("ago", "state"),
    [(0, FiringState.FIRED), (30, FiringState.FIRED), (30.001, FiringState.PENDING), (3600, FiringState.PENDING)],
)
def test_an_old_word_of_the_hub_grants_nothing_even_to_who_has_a_role_of_their_own(
    desk: Desk, ago: float, state: FiringState
) -> None:
    scheduled(desk, own=Role.ADMIN)
    desk.later(600)
    desk.hub_says("mia", {"lab"}, ago=ago)
    tick(desk)

    (firing,) = firings(desk)
    assert (firing.state, firing.run_id is None) == (state, state is FiringState.PENDING)


def test_a_firing_waits_for_the_hub_says_why_and_goes_on_when_it_has_told(desk: Desk) -> None:
    scheduled(desk)
    desk.hub_says("mia", (), failure="the Hub cannot be reached")
    tick(desk, 10)
    tick(desk, 1)
    (waiting,) = firings(desk)
    assert (waiting.state, waiting.reason) == (FiringState.PENDING, f"{WAITS} (the Hub cannot be reached)")

    desk.hub_says("mia", {"lab"})
    tick(desk)

    (fired,) = firings(desk)
    assert (fired.state, fired.reason, fired.firing_id) == (FiringState.FIRED, "", waiting.firing_id)
    assert audited(desk) == [(FiringState.PENDING, waiting.reason), (FiringState.FIRED, "")]


def test_a_firing_that_waits_too_long_is_missed_and_what_it_waited_for_is_told(desk: Desk) -> None:
    scheduled(desk)
    desk.hub_says("mia", {"lab"}, ago=31)
    tick(desk, 10)
    tick(desk, 60)
    assert firings(desk)[-1].state is FiringState.PENDING
    tick(desk, 0.1)

    first = firings(desk)[-1]
    assert (first.state, first.reason) == (FiringState.MISSED, f"given up after 60 minutes: {WAITS}")
    assert (FiringState.MISSED, first.reason) in audited(desk)
    desk.hub_says("mia", {"lab"})
    tick(desk)
    assert firings(desk)[-1] == first


def test_a_branch_that_no_executor_looks_up_is_a_missed_time_and_a_late_answer_changes_nothing(desk: Desk) -> None:
    scheduled(desk, own=Role.EDITOR, ref="main")
    tick(desk, 10)
    (pending,) = firings(desk)
    assert (pending.state, pending.reason) == (FiringState.PENDING, "no executor has looked main up yet")
    tick(desk, 10)
    assert firings(desk)[0].reason == "the previous firing is pending: no executor has looked main up yet"

    tick(desk, 51)
    missed = firings(desk)[-1]
    words = "given up after 60 minutes: no executor has looked main up yet"
    assert (missed.state, missed.reason) == (FiringState.MISSED, words)

    look_up(desk)
    assert firings(desk)[-1] == missed


@pytest.mark.parametrize("overlap", [Overlap.SKIP, Overlap.ALLOW])
def test_a_branch_that_was_looked_up_is_not_looked_up_again_when_the_hub_is_what_is_missing(
    desk: Desk, overlap: Overlap
) -> None:
    scheduled(desk, ref="main", overlap=overlap)
    desk.later(600)
    desk.hub_says("mia", {"lab"})
    tick(desk)
    desk.hub_says("mia", {"lab"}, ago=31)
    look_up(desk)
    (waiting,) = firings(desk)
    assert (waiting.state, waiting.reason) == (FiringState.PENDING, WAITS)

    desk.hub_says("mia", {"lab"})
    tick(desk)

    (fired,) = firings(desk)
    assert (fired.state, fired.commit_id) == (FiringState.FIRED, COMMIT)
    assert desk.actions().count("inspection.created") == 1


def look_up(desk: Desk) -> None:
    task = desk.do(LOCAL, "tasks.lease", LeaseTask()).lease
    answer = EndTask(attempt=task.attempt, result=NotebookFindings(commit=COMMIT))
    desk.do(LOCAL, "tasks.end", answer, task=task.task_id)


@pytest.mark.parametrize(("groups", "state"), [({"guests"}, FiringState.REFUSED), (set(), FiringState.FIRED)])
def test_a_policy_that_forbids_to_a_group_forbids_to_who_joined_it_since(
    desk: Desk, groups: set[str], state: FiringState
) -> None:
    scheduled(desk, own=Role.EDITOR)
    desk.do(ADA, "policies.put", PutPolicy(name="guests", cedar=NOT_FOR_GUESTS), project="demo")
    desk.later(600)
    desk.hub_says("mia", groups)
    tick(desk)

    (firing,) = firings(desk)
    assert firing.state is state


def test_a_service_has_no_groups_and_never_waits_for_the_hub(desk: Desk) -> None:
    ci = Principal(name="ci", kind=PrincipalKind.SERVICE, ceiling={EVERY_PROJECT: Role.ADMIN})
    desk.project()
    bind(desk, SubjectType.SERVICE, "ci", Role.EDITOR)
    message = CreateSchedule(name="nightly", cron="*/10 * * * *", submission=desk.submission())
    desk.do(ci, "schedules.create", message, project="demo")
    tick(desk, 10)

    assert firings(desk)[0].state is FiringState.FIRED
    assert to_ask(desk) == []


def test_who_administers_the_platform_and_has_no_role_leaves_no_schedule_behind(desk: Desk) -> None:
    desk.project()
    root = replace(MIA, name="root", groups=frozenset(), platform_admin=True)
    message = CreateSchedule(name="nightly", cron="*/10 * * * *", submission=desk.submission())
    with pytest.raises(AnimusError) as refused:
        desk.do(root, "schedules.create", message, project="demo")

    assert (refused.value.code, "to one of their groups" in refused.value.remedy) == ("forbidden", True)


def to_ask(desk: Desk) -> list[str]:
    call = desk.call(SYSTEM)
    return desk.read(lambda uow: users_to_ask(uow, call))


def test_the_hub_is_asked_about_owners_of_what_is_soon_due_pending_or_open_and_about_nobody_else(desk: Desk) -> None:
    scheduled(desk, ref="main")
    desk.hub_says("mia", {"lab"})
    assert to_ask(desk) == []
    desk.later(569)
    assert to_ask(desk) == []
    desk.later(1)
    assert to_ask(desk) == ["mia"]

    desk.hub_says("mia", {"lab"})
    assert to_ask(desk) == []
    desk.later(30)
    tick(desk)
    assert firings(desk)[0].state is FiringState.PENDING
    desk.do(ED, "schedules.retire", project="demo", schedule="nightly")
    assert to_ask(desk) == ["mia"]


def test_the_hub_is_asked_about_owners_of_runs_that_may_be_retried_while_an_executor_has_them(desk: Desk) -> None:
    desk.project()
    for retries in (0, 1):
        bind(desk, SubjectType.USER, f"user-{retries}", Role.EDITOR)
        owner = replace(ED, name=f"user-{retries}")
        desk.submit(desk.submission(retries=retries), owner)
        desk.hub_says(owner.name, (), ago=31)
    assert to_ask(desk) == []

    desk.lease()
    desk.lease()
    assert to_ask(desk) == ["user-1"]


def test_of_more_users_than_one_round_asks_about_those_come_first_of_whom_least_is_known(desk: Desk) -> None:
    desk.project()
    for retries, name in ((1, "user-1"), (2, "user-2")):
        bind(desk, SubjectType.USER, name, Role.EDITOR)
        desk.submit(desk.submission(retries=retries), replace(ED, name=name))
        desk.lease()
    desk.hub_says("user-1", (), ago=31)
    desk.hub_says("user-2", (), ago=32)

    def needed(limit: int) -> list[str]:
        return desk.read(lambda uow: uow.user_groups.needed(soon=desk.now, as_of=desk.now, limit=limit))

    assert [needed(limit) for limit in (0, 1, 2)] == [[], ["user-2"], ["user-2", "user-1"]]


def test_a_failure_leaves_what_the_hub_said_before_to_grow_old(desk: Desk) -> None:
    said = KnownGroups(name="mia", groups=frozenset({"lab"}), as_of=NOON)
    failed = KnownGroups(name="mia", failure="the Hub cannot be reached")

    def note(known: KnownGroups) -> KnownGroups | None:
        desk.write(lambda uow: note_groups(uow, [known]))
        return desk.read(lambda uow: uow.user_groups.get("mia"))

    assert note(failed) == failed
    assert note(said) == said
    assert note(failed) == replace(said, failure=failed.failure)
    assert note(said) == said


AGES = [None, -1, 0, 29, 30, 31]


@pytest.mark.parametrize(("age", "is_asked"), list(product(AGES, [True, False])), ids=str)
def test_what_the_hub_said_counts_for_thirty_seconds(age: int | None, is_asked: bool) -> None:
    as_of = None if age is None else NOON - timedelta(seconds=age)
    known = KnownGroups(name="mia", groups=frozenset(), as_of=as_of) if is_asked else None

    assert counts(known, NOON, timedelta(seconds=30)) is (is_asked and age is not None and age <= 30)
