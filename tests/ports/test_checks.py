# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks and what waits for them: changed by who holds them, and only until the answer is there."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.comparisons import InputDifference
from animus_contracts.inspections import NotebookFindings
from animus_contracts.origins import Origin, Relation
from animus_contracts.preflights import Check, CheckName, CheckState
from animus_contracts.tasks import Task, TaskState
from animus_control.services.ports import UnitOfWork
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import NOW, PROJECT_ID, a_run, add_runs, add_surroundings, write
from tests.ports.records_of_checks import a_comparison, a_preflight, a_task, add_checks, an_inspection

LEFT, RIGHT = a_run(100), a_run(101)


def fill(uow: UnitOfWork) -> None:
    add_surroundings(uow)
    add_runs(uow, LEFT, RIGHT)
    add_checks(uow, LEFT, RIGHT)


def leased(task: Task, **more: object) -> Task:
    values = {"state": TaskState.LEASED, "attempt": 1, "executor": "local", "lease_expires_at": NOW}
    return msgspec.structs.replace(task, **values | more)


def test_an_answer_comes_back_as_it_was_given_and_is_the_last_word(database: StoredDatabase) -> None:
    write(database, fill)
    answered = an_inspection(state=AnswerState.ANSWERED, findings=NotebookFindings(commit="0a" * 20), ended_at=NOW)

    assert write(database, lambda uow: uow.inspections.save(answered))

    later = msgspec.structs.replace(answered, state=AnswerState.FAILED, failure="no")
    assert not write(database, lambda uow: uow.inspections.save(later))
    assert database.read(lambda uow: uow.inspections.get(PROJECT_ID, answered.inspection_id)) == answered


def test_a_preflight_is_found_by_the_inspection_it_waits_for(database: StoredDatabase) -> None:
    write(database, fill)
    checks = [Check(name=CheckName.COMMIT, state=CheckState.PASSED)]
    ended = a_preflight(state=AnswerState.ANSWERED, checks=checks, ready=True, ended_at=NOW)

    assert write(database, lambda uow: uow.preflights.save(ended))

    asked = an_inspection().inspection_id
    assert database.read(lambda uow: uow.preflights.find(PROJECT_ID, inspection_id=asked)) == ended


def test_a_comparison_may_take_another_right_run_while_it_waits(database: StoredDatabase) -> None:
    write(database, fill)
    retry = a_run(102)
    difference = InputDifference(field="seed", left="1", right="2")
    moved = a_comparison(LEFT, retry, verifies=RIGHT.run_id, inputs=[difference])

    write(database, lambda uow: add_runs(uow, retry))
    assert write(database, lambda uow: uow.comparisons.save(moved))

    found = database.read(lambda uow: uow.comparisons.find(PROJECT_ID, right_run_id=retry.run_id, state="pending"))
    assert found == moved
    old = database.read(lambda uow: uow.comparisons.page(PROJECT_ID, limit=9, cursor=None, right_run_id=RIGHT.run_id))
    assert old.items == []


def test_the_task_that_waits_longest_is_next_and_a_leased_one_is_not(database: StoredDatabase) -> None:
    write(database, fill)
    first, second = a_task(430), a_task(431)
    write(database, lambda uow: uow.tasks.add(second))

    assert database.read(lambda uow: uow.tasks.next_waiting()) == first
    assert write(database, lambda uow: uow.tasks.save(leased(first), expected_attempt=0))
    assert database.read(lambda uow: uow.tasks.next_waiting()) == second
    assert database.read(lambda uow: uow.tasks.held_by("local")) == [leased(first)]
    assert database.read(lambda uow: uow.tasks.held_by("remote")) == []


def test_a_task_changes_only_under_its_attempt_and_never_once_it_is_over(database: StoredDatabase) -> None:
    write(database, fill)
    task = a_task()
    assert write(database, lambda uow: uow.tasks.save(leased(task), expected_attempt=0))

    assert not write(database, lambda uow: uow.tasks.save(leased(task, attempt=2), expected_attempt=0))
    assert write(database, lambda uow: uow.tasks.save(leased(task, state=TaskState.DONE), expected_attempt=1))
    assert not write(database, lambda uow: uow.tasks.save(leased(task), expected_attempt=1))


def test_only_leases_that_ended_are_expired(database: StoredDatabase) -> None:
    write(database, fill)
    held = leased(a_task(), lease_expires_at=NOW + timedelta(seconds=10))
    write(database, lambda uow: uow.tasks.save(held, expected_attempt=0))

    def expired(seconds: int) -> list[Task]:
        return database.read(lambda uow: uow.tasks.expired(NOW + timedelta(seconds=seconds), limit=9))

    assert (expired(10), expired(11)) == ([], [held])


def test_a_run_is_found_by_what_it_repeats_and_how(database: StoredDatabase) -> None:
    write(database, fill)

    def origin(relation: Relation) -> Origin:
        return Origin(relation=relation, run_id=LEFT.run_id, first_run_id=LEFT.run_id, number=1)

    retry, rerun = a_run(103, origin=origin(Relation.RETRY)), a_run(104, origin=origin(Relation.RERUN))
    write(database, lambda uow: add_runs(uow, retry, rerun))

    found = database.read(lambda uow: uow.runs.find(PROJECT_ID, repeats=LEFT.run_id, relation=Relation.RETRY))
    page = database.read(lambda uow: uow.runs.page(PROJECT_ID, limit=9, cursor=None, repeats=LEFT.run_id))
    assert found is not None
    assert found.run_id == retry.run_id
    assert [run.run_id for run in page.items] == [rerun.run_id, retry.run_id]
