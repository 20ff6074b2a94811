# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A schedule fires once for each time it is due, in its owner's name, with what the owner may do at that moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from animus_contracts.executions import Verdict
from animus_contracts.inspections import NotebookFindings
from animus_contracts.pages import ListQuery
from animus_contracts.parameters import Parameter
from animus_contracts.policies import PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import Failure, FailureReason, Limitation, RunState
from animus_contracts.schedules import CatchUp, FiringState, Overlap, Schedule
from animus_contracts.tasks import EndTask, LeaseTask, TaskFailed
from animus_control.domain.identity import SYSTEM
from animus_control.services.firings import fire_due
from tests.unit.control.services.desk import ADA, ED, LOCAL, VIC, Desk
from tests.unit.control.services.timetable import ELLA, create, firings, pass_minutes, read, run_of, states, tick

pytestmark = pytest.mark.usefixtures("at_noon")

FREEZE = '@id("freeze") @reason("change freeze") forbid (principal, action, resource);'
ADMINS_ONLY = '@id("admins") forbid (principal, action, resource) unless { context.actor.role == "admin" };'


def test_a_schedule_submits_its_run_in_the_owners_name_once_for_each_time(any_desk: Desk) -> None:
    desk = any_desk
    schedule = create(desk)
    assert schedule.upcoming == [desk.now + timedelta(minutes=10 * number) for number in range(1, 6)]
    assert (tick(desk), firings(desk)) == (0, [])

    desk.later(600.4)
    assert (tick(desk), tick(desk)) == (1, 0)

    (firing,) = firings(desk)
    run = run_of(desk, firing)
    assert (firing.state, firing.due_at, firing.commit_id) == (FiringState.FIRED, schedule.next_at, run.code.commit)
    assert (run.created_by, run.state) == ("user:ed", RunState.QUEUED)
    assert run.schedule is not None
    assert (run.schedule.schedule_id, run.schedule.firing_id) == (schedule.schedule_id, firing.firing_id)
    assert read(desk).next_at == schedule.upcoming[1]


def test_of_two_control_planes_one_fires(any_desk: Desk) -> None:
    desk = any_desk
    create(desk)
    desk.later(600)
    calls = [desk.call(SYSTEM), desk.call(SYSTEM)]

    def stale(uow: Any) -> list[bool]:
        """Both have read the schedule before either has stored anything."""
        seen = uow.schedules.due(desk.now, limit=1) * 2
        fire_due(uow, calls[0])
        return [uow.schedules.compare_and_set(each, expected_version=each.version) for each in seen]

    assert desk.write(stale) == [False, False]
    assert states(desk) == [FiringState.FIRED]


@pytest.mark.parametrize(
    ("overlap", "fired", "first"),
    [
        (Overlap.SKIP, [FiringState.FIRED, FiringState.SKIPPED], RunState.QUEUED),
        (Overlap.ALLOW, [FiringState.FIRED, FiringState.FIRED], RunState.QUEUED),
        (Overlap.CANCEL_PREVIOUS, [FiringState.FIRED, FiringState.FIRED], RunState.CANCELED),
    ],
)
def test_what_happens_while_the_previous_run_has_not_ended(
    desk: Desk, overlap: Overlap, fired: list[FiringState], first: RunState
) -> None:
    create(desk, overlap=overlap)
    pass_minutes(desk, 10)
    pass_minutes(desk, 10)

    assert states(desk) == fired
    assert run_of(desk, firings(desk)[-1]).state is first


@pytest.mark.parametrize("overlap", Overlap)
def test_a_run_that_has_ended_is_in_nobodys_way(desk: Desk, overlap: Overlap) -> None:
    create(desk, overlap=overlap)
    pass_minutes(desk, 10)
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease, Verdict.SUCCEEDED)
    pass_minutes(desk, 10)

    assert states(desk) == [FiringState.FIRED, FiringState.FIRED]
    assert run_of(desk, firings(desk)[-1]).state is RunState.SUCCEEDED


@pytest.mark.parametrize(
    ("catch_up", "expected"),
    [
        (CatchUp.NONE, [FiringState.MISSED] * 3),
        (CatchUp.LAST, [FiringState.MISSED, FiringState.MISSED, FiringState.FIRED]),
    ],
)
def test_times_at_which_nobody_was_there_are_recorded(
    any_desk: Desk, catch_up: CatchUp, expected: list[FiringState]
) -> None:
    desk = any_desk
    create(desk, catch_up=catch_up)

    pass_minutes(desk, 35)

    assert states(desk) == expected
    assert read(desk).next_at == desk.now + timedelta(minutes=5)


def test_an_owner_who_lost_the_role_submits_nothing_and_the_firing_says_so(desk: Desk) -> None:
    create(desk)
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject="ed", role=Role.VIEWER)
    desk.do(ADA, "role_bindings.put", binding, project="demo")

    pass_minutes(desk, 10)

    (firing,) = firings(desk)
    assert (firing.state, firing.run_id) == (FiringState.REFUSED, None)
    assert "user:ed has no role" in firing.reason


def test_a_policy_that_refuses_is_recorded_with_its_decision(any_desk: Desk) -> None:
    desk = any_desk
    create(desk)
    desk.do(ADA, "policies.put", PutPolicy(name="freeze", cedar=FREEZE), project="demo")

    pass_minutes(desk, 10)

    (firing,) = firings(desk)
    decision = desk.do(VIC, "policy_decisions.read", project="demo", decision=firing.decision_id)
    assert (firing.state, firing.reason) == (FiringState.REFUSED, "change freeze")
    assert (decision.subject, decision.deciding) == ("user:ed", ["project/freeze/freeze"])
    assert desk.actions()[-2:] == ["run.refused", "schedule.fired"]


def test_a_schedule_of_an_archived_project_is_refused_and_not_lost(desk: Desk) -> None:
    create(desk)
    desk.do(ADA, "projects.archive", project="demo")
    pass_minutes(desk, 10)
    desk.do(ADA, "projects.unarchive", project="demo")
    pass_minutes(desk, 10)

    assert states(desk) == [FiringState.REFUSED, FiringState.FIRED]


def test_a_schedule_never_acts_with_more_than_its_maker_had(desk: Desk) -> None:
    desk.project()
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject="ella", role=Role.ADMIN)
    desk.do(ADA, "role_bindings.put", binding, project="demo")
    workspace = replace(ELLA, ceiling={"demo": Role.EDITOR})
    create(desk, workspace, submission=desk.submission())
    desk.do(ADA, "policies.put", PutPolicy(name="admins", cedar=ADMINS_ONLY), project="demo")

    pass_minutes(desk, 10)

    assert states(desk) == [FiringState.REFUSED]


def test_a_paused_schedule_fires_nothing_and_makes_up_for_nothing(desk: Desk) -> None:
    create(desk, catch_up=CatchUp.LAST)
    desk.do(ED, "schedules.pause", project="demo", schedule="nightly")
    pass_minutes(desk, 60)
    desk.do(ED, "schedules.resume", project="demo", schedule="nightly")
    pass_minutes(desk, 1)

    assert firings(desk) == []
    assert read(desk).next_at == datetime(2026, 1, 1, 13, 10, tzinfo=UTC)


NEW_COMMIT = "1b" * 20


def on_branch(desk: Desk, **changes: Any) -> Schedule:
    desk.project()
    submission = desk.submission(limitations=[Limitation.DIRTY_WORKTREE])
    return create(desk, ref="main", submission=submission, **changes)


def answer(desk: Desk, result: NotebookFindings | TaskFailed) -> None:
    """Do the task that waits, as an executor does."""
    lease = desk.do(LOCAL, "tasks.lease", LeaseTask()).lease
    message = EndTask(attempt=lease.attempt, result=result)
    desk.do(LOCAL, "tasks.end", message, task=lease.task_id)


def test_a_branch_is_resolved_at_each_firing_and_the_commit_recorded(any_desk: Desk) -> None:
    desk = any_desk
    on_branch(desk)
    pass_minutes(desk, 10)
    (pending,) = firings(desk)
    assert (pending.state, pending.run_id) == (FiringState.PENDING, None)

    answer(desk, NotebookFindings(commit=NEW_COMMIT))

    (fired,) = firings(desk)
    run = run_of(desk, fired)
    assert (fired.state, fired.commit_id, run.code.commit) == (FiringState.FIRED, NEW_COMMIT, NEW_COMMIT)
    assert (run.created_by, run.limitations) == ("user:ed", [Limitation.SEED_NOT_SET])


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (TaskFailed(reason="the repository does not answer", is_final=True), "the repository does not answer"),
        (
            NotebookFindings(problem=Failure(reason=FailureReason.INPUT, summary="there is no branch main")),
            "there is no branch main",
        ),
        (
            NotebookFindings(commit=NEW_COMMIT, parameters=[Parameter(name="depth", required=True)]),
            "depth",
        ),
    ],
    ids=["unreachable", "no-such-branch", "parameters-changed"],
)
def test_what_the_branch_holds_may_refuse_the_firing(
    desk: Desk, result: NotebookFindings | TaskFailed, reason: str
) -> None:
    on_branch(desk)
    pass_minutes(desk, 10)

    answer(desk, result)

    (firing,) = firings(desk)
    assert (firing.state, firing.run_id) == (FiringState.REFUSED, None)
    assert reason in firing.reason


def test_rights_are_those_of_the_moment_the_branch_is_known(desk: Desk) -> None:
    on_branch(desk)
    pass_minutes(desk, 10)
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject="ed", role=Role.VIEWER)
    desk.do(ADA, "role_bindings.put", binding, project="demo")

    answer(desk, NotebookFindings(commit=NEW_COMMIT))

    assert states(desk) == [FiringState.REFUSED]


@pytest.mark.parametrize("verb", ["pause", "retire"])
def test_a_schedule_stopped_meanwhile_fires_nothing(desk: Desk, verb: str) -> None:
    schedule = on_branch(desk)
    pass_minutes(desk, 10)
    desk.do(ED, f"schedules.{verb}", project="demo", schedule=schedule.schedule_id)

    answer(desk, NotebookFindings(commit=NEW_COMMIT))

    page = desk.do(VIC, "firings.list", ListQuery(), project="demo", schedule=schedule.schedule_id)
    assert [firing.state for firing in page.items] == [FiringState.SKIPPED]


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        (Overlap.SKIP, [FiringState.PENDING, FiringState.SKIPPED]),
        (Overlap.ALLOW, [FiringState.PENDING, FiringState.PENDING]),
        (Overlap.CANCEL_PREVIOUS, [FiringState.PENDING, FiringState.PENDING]),
    ],
)
def test_a_look_at_the_branch_that_takes_long_counts_as_under_way(
    desk: Desk, overlap: Overlap, expected: list[FiringState]
) -> None:
    on_branch(desk, overlap=overlap)
    pass_minutes(desk, 10)
    pass_minutes(desk, 10)
    assert states(desk) == expected

    for _ in range(expected.count(FiringState.PENDING)):
        answer(desk, NotebookFindings(commit=NEW_COMMIT))
    runs = [run_of(desk, firing).state for firing in reversed(firings(desk)) if firing.run_id]
    assert (
        runs
        == {
            Overlap.SKIP: [RunState.QUEUED],
            Overlap.ALLOW: [RunState.QUEUED, RunState.QUEUED],
            Overlap.CANCEL_PREVIOUS: [RunState.CANCELED, RunState.QUEUED],
        }[overlap]
    )
