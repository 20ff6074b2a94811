# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Approvals and schedules are changed by whoever saw them as they are, and found when their time has come."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from animus_contracts.approvals import ApprovalState
from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.policies import Effect
from animus_contracts.schedules import FiringState, ScheduleState
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import (
    DECISION_ID,
    NOW,
    OTHER_ID,
    PROJECT_ID,
    WHO,
    a_decision,
    a_project,
    a_run,
    add_runs,
    add_surroundings,
    changed,
    identifier,
    write,
)
from tests.ports.records_of_rules import a_firing, a_schedule, an_approval

RUN = a_run()
DECIDED: dict[str, Any] = {
    "state": ApprovalState.APPROVED, "version": 2, "decided_by": WHO, "decided_at": NOW, "comment": "go",
    "final_decision_id": DECISION_ID,
}  # fmt: skip


def furnish(uow: UnitOfWork) -> None:
    add_surroundings(uow)
    add_runs(uow, RUN)


def test_an_approval_is_decided_once_by_who_saw_it_pending(database: StoredDatabase) -> None:
    asked = an_approval(RUN)
    decided = changed(asked, **DECIDED)
    write(database, furnish)
    write(database, lambda uow: uow.approvals.add(asked))

    def decide(version: int) -> bool:
        return write(database, lambda uow: uow.approvals.compare_and_set(decided, expected_version=version))

    assert database.read(lambda uow: uow.approvals.get(PROJECT_ID, asked.approval_id)) == asked
    assert [decide(7), decide(1), decide(1), decide(2)] == [False, True, False, False]
    assert database.read(lambda uow: uow.approvals.find(PROJECT_ID, run_id=RUN.run_id)) == decided
    assert database.read(lambda uow: uow.approvals.get(OTHER_ID, asked.approval_id)) is None


def test_only_pending_approvals_expire_the_oldest_first(database: StoredDatabase) -> None:
    runs = [a_run(number) for number in range(100, 104)]
    late = [an_approval(run, 500 + n, expires_at=NOW + timedelta(hours=4 - n)) for n, run in enumerate(runs)]
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, *runs))
    write(database, lambda uow: [uow.approvals.add(each) for each in late])
    write(database, lambda uow: uow.approvals.compare_and_set(changed(late[3], **DECIDED), expected_version=1))

    def expired(hours: float, limit: int = 10) -> list[str]:
        at = NOW + timedelta(hours=hours)
        return [each.approval_id for each in database.read(lambda uow: uow.approvals.expired(at, limit=limit))]

    assert expired(1.9) == []
    assert expired(3) == [late[2].approval_id, late[1].approval_id]
    assert expired(9, limit=2) == [late[2].approval_id, late[1].approval_id]


def test_the_inbox_goes_over_the_given_projects_newest_first(database: StoredDatabase) -> None:
    runs = [a_run(number) for number in range(100, 103)]
    asked = [an_approval(run, 500 + number) for number, run in enumerate(runs)]
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, *runs))
    write(database, lambda uow: [uow.approvals.add(each) for each in asked])
    write(database, lambda uow: uow.approvals.compare_and_set(changed(asked[1], **DECIDED), expected_version=1))

    def inbox(only: list[ProjectId] | None, state: ApprovalState | None = None) -> list[str]:
        found, cursor = [], None
        while True:
            query = {"limit": 1, "cursor": cursor, "only": only, "state": state}
            page = database.read(lambda uow, query=query: uow.approvals.inbox(**query))
            found += [each.approval_id for each in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    ids = [each.approval_id for each in reversed(asked)]
    assert inbox(None) == inbox([OTHER_ID, PROJECT_ID]) == ids
    assert inbox([PROJECT_ID], ApprovalState.PENDING) == [ids[0], ids[2]]
    assert inbox([OTHER_ID]) == inbox([]) == []


def test_a_run_has_one_approval_at_most(database: StoredDatabase) -> None:
    write(database, furnish)
    write(database, lambda uow: uow.approvals.add(an_approval(RUN)))

    with pytest.raises(AlreadyExistsError):
        write(database, lambda uow: uow.approvals.add(an_approval(RUN, 501)))


def test_a_schedule_is_due_when_active_and_moves_by_who_saw_it(database: StoredDatabase) -> None:
    early, later = a_schedule(511, name="early"), a_schedule(510, next_at=NOW + timedelta(hours=2))
    rests = a_schedule(512, name="rests", state=ScheduleState.PAUSED, next_at=None)
    write(database, furnish)
    write(database, lambda uow: [uow.schedules.add(each) for each in (later, early, rests)])
    moved = changed(early, next_at=NOW + timedelta(hours=9), version=2)

    def due(hours: float) -> list[str]:
        found = database.read(lambda uow: uow.schedules.due(NOW + timedelta(hours=hours), limit=10))
        return [each.name for each in found]

    def move(version: int) -> bool:
        return write(database, lambda uow: uow.schedules.compare_and_set(moved, expected_version=version))

    assert [due(0.9), due(1), due(2)] == [[], ["early"], ["early", "nightly"]]
    assert [move(3), move(1), move(1)] == [False, True, False]
    assert due(2) == ["nightly"]
    assert database.read(lambda uow: uow.schedules.get(PROJECT_ID, early.schedule_id)) == moved


def test_a_retired_schedule_frees_its_name_and_never_moves_again(database: StoredDatabase) -> None:
    first, second = a_schedule(510), a_schedule(511)
    retired = changed(first, state=ScheduleState.RETIRED, next_at=None, version=2)
    write(database, furnish)
    write(database, lambda uow: uow.schedules.add(first))

    with pytest.raises(AlreadyExistsError):
        write(database, lambda uow: uow.schedules.add(second))
    write(database, lambda uow: uow.schedules.compare_and_set(retired, expected_version=1))
    write(database, lambda uow: uow.schedules.add(second))

    assert database.read(lambda uow: uow.schedules.named(PROJECT_ID, "nightly")) == second
    assert database.read(lambda uow: uow.schedules.count(PROJECT_ID)) == 1
    again = changed(first, version=3)
    assert not write(database, lambda uow: uow.schedules.compare_and_set(again, expected_version=2))


def test_a_time_has_one_firing_and_its_end_is_final(database: StoredDatabase) -> None:
    pending = a_firing(inspection_id=identifier(400))
    fired = changed(pending, state=FiringState.FIRED, version=2, run_id=RUN.run_id, commit_id="0" * 40)
    write(database, furnish)
    write(database, lambda uow: uow.schedules.add(a_schedule()))
    write(database, lambda uow: uow.firings.add(pending))

    with pytest.raises(AlreadyExistsError):
        write(database, lambda uow: uow.firings.add(a_firing(521)))

    def settle() -> bool:
        return write(database, lambda uow: uow.firings.compare_and_set(fired, expected_version=1))

    assert database.read(lambda uow: uow.firings.find(PROJECT_ID, inspection_id=identifier(400))) == pending
    assert [settle(), settle()] == [True, False]
    assert database.read(lambda uow: uow.firings.get(PROJECT_ID, pending.firing_id)) == fired


def test_the_last_firing_is_the_newest_by_the_time_it_was_due(database: StoredDatabase) -> None:
    made = [
        a_firing(520, state=FiringState.FIRED, due_at=NOW + timedelta(hours=2)),
        a_firing(521, state=FiringState.FIRED, due_at=NOW + timedelta(hours=1)),
        a_firing(522, state=FiringState.MISSED, due_at=NOW + timedelta(hours=3)),
    ]
    write(database, furnish)
    write(database, lambda uow: uow.schedules.add(a_schedule()))
    write(database, lambda uow: [uow.firings.add(each) for each in made])

    def last(state: FiringState) -> object:
        return database.read(lambda uow: uow.firings.last(PROJECT_ID, made[0].schedule_id, state))

    assert [last(state) for state in (FiringState.FIRED, FiringState.MISSED, FiringState.PENDING)] == [
        made[0], made[2], None,
    ]  # fmt: skip


def test_submissions_are_found_once_with_their_runs_and_without_what_was_judged_later(
    database: StoredDatabase,
) -> None:
    refused = changed(a_decision(), decision_id=identifier(17), effect=Effect.DENY)
    at_start = changed(refused, decision_id=identifier(18), action="run:start")
    approval_refused = changed(refused, decision_id=identifier(19), context={"approval": {"by": "user:eve"}})
    final = changed(a_decision(), decision_id=identifier(20), context={"approval": {"by": "user:eve"}})
    write(database, furnish)
    write(database, lambda uow: uow.projects.add(a_project(OTHER_ID, "bravo")))
    # The sample's ids are older than its moment; ids and moments of a control plane agree.
    oldest = changed(a_decision(), decision_id=identifier(3), decided_at=NOW - timedelta(days=365))
    made = (oldest, refused, at_start, approval_refused, final)
    write(database, lambda uow: [uow.policy_decisions.add(each) for each in made])

    def found(project_id: ProjectId, limit: int = 10) -> tuple[list[tuple[str, RunId | None]], bool]:
        rows, more = database.read(lambda uow: uow.policy_decisions.submissions(project_id, since=None, limit=limit))
        return [(decision.decision_id, run_id) for decision, run_id in rows], more

    assert found(PROJECT_ID) == ([(identifier(17), None), (DECISION_ID, RUN.run_id)], False)
    assert found(PROJECT_ID, limit=4) == ([(identifier(17), None)], True)
    assert found(OTHER_ID) == ([], False)
