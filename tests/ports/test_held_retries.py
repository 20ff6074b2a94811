# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How retries that wait are kept, on both databases: one per run, found once they wait no longer, then gone."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import msgspec
import pytest

from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.pipeline_runs import NodeState
from animus_contracts.runs import RunState
from animus_control.domain.repeats import HeldRetry
from animus_control.domain.user_groups import KnownGroups
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.database import StoredDatabase
from animus_control.storage.failures import RuleBrokenError
from animus_control.storage.session import UnauditedChangeError
from tests.ports.records_of_a_project import (
    NOW,
    OTHER_ID,
    PROJECT_ID,
    a_project,
    a_run,
    add_runs,
    add_surroundings,
    write,
)
from tests.ports.records_of_pipelines import a_bound, a_pipeline_run, rows_of

FAILED = [a_run(number, state=RunState.FAILED, retries=1) for number in (100, 101, 102)]
RUN = FAILED[0]


def a_held(run_id: RunId = RUN.run_id, **more: Any) -> HeldRetry:
    values: dict[str, Any] = {"project_id": PROJECT_ID, "run_id": run_id, "since": NOW, "reason": "the Hub is silent"}
    return HeldRetry(**values | more)


@pytest.fixture
def filled(database: StoredDatabase) -> StoredDatabase:
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, *FAILED))
    return database


def hold(database: StoredDatabase, held: HeldRetry) -> None:
    write(database, lambda uow: uow.held_retries.add(held))


def stored(database: StoredDatabase, project_id: ProjectId = PROJECT_ID) -> HeldRetry | None:
    return database.read(lambda uow: uow.held_retries.get(project_id, RUN.run_id))


def hear(database: StoredDatabase, seconds: float) -> None:
    told = KnownGroups(name="ann", groups=frozenset(), as_of=NOW + timedelta(seconds=seconds))
    database.write(lambda uow: uow.user_groups.put(told)).result(5)


def test_a_retry_is_held_as_it_was_stored_until_it_is_removed(filled: StoredDatabase) -> None:
    hold(filled, a_held())
    assert (stored(filled), stored(filled, OTHER_ID)) == (a_held(), None)

    write(filled, lambda uow: uow.held_retries.remove(OTHER_ID, RUN.run_id))
    assert stored(filled) == a_held()
    write(filled, lambda uow: uow.held_retries.remove(PROJECT_ID, RUN.run_id))
    assert stored(filled) is None


def test_a_run_has_one_held_retry_at_most(filled: StoredDatabase) -> None:
    hold(filled, a_held())
    with pytest.raises(AlreadyExistsError):
        hold(filled, a_held(reason="another"))


def test_no_retry_is_held_for_a_run_of_another_project(filled: StoredDatabase) -> None:
    write(filled, lambda uow: uow.projects.add(a_project(OTHER_ID, "bravo")))
    with pytest.raises(RuleBrokenError):
        hold(filled, a_held(project_id=OTHER_ID))


@pytest.mark.parametrize("is_removal", [False, True])
def test_nobody_holds_or_lets_go_a_retry_in_silence(filled: StoredDatabase, is_removal: bool) -> None:
    if is_removal:
        hold(filled, a_held())
        unaudited = filled.write(lambda uow: uow.held_retries.remove(PROJECT_ID, RUN.run_id))
    else:
        unaudited = filled.write(lambda uow: uow.held_retries.add(a_held()))
    with pytest.raises(UnauditedChangeError, match="held_retries"):
        unaudited.result(5)


@pytest.mark.parametrize(("told_at", "since"), list(product([None, -1, 0, 1], [-1, 0, 1])), ids=str)
def test_a_retry_waits_no_longer_once_its_owners_groups_are_known_or_its_time_is_over(
    filled: StoredDatabase, told_at: int | None, since: int
) -> None:
    held = a_held(since=NOW + timedelta(seconds=since))
    hold(filled, held)
    if told_at is not None:
        hear(filled, told_at)

    due = filled.read(lambda uow: uow.held_retries.due(known_since=NOW, before=NOW, limit=10))

    assert due == ([held] if since < 0 or (told_at is not None and told_at >= 0) else [])


def test_retries_that_wait_no_longer_come_oldest_first_and_no_more_than_wanted(filled: StoredDatabase) -> None:
    held = [a_held(run.run_id, since=NOW - timedelta(minutes=number)) for number, run in enumerate(FAILED)]
    for each in held:
        hold(filled, each)
    hear(filled, 0)

    due = filled.read(lambda uow: uow.held_retries.due(known_since=NOW, before=NOW - timedelta(hours=1), limit=2))

    assert due == [held[2], held[1]]


def test_the_hub_is_asked_about_the_owner_of_a_retry_exactly_while_it_is_held(filled: StoredDatabase) -> None:
    def needed() -> list[str]:
        return filled.read(lambda uow: uow.user_groups.needed(soon=NOW, as_of=NOW, limit=10))

    assert needed() == []
    hold(filled, a_held())
    assert needed() == ["ann"]
    write(filled, lambda uow: uow.held_retries.remove(PROJECT_ID, RUN.run_id))
    assert needed() == []


@pytest.mark.parametrize("held", [None, *FAILED[:2]], ids=["nothing", "its-own-run", "another-run"])
def test_a_pipeline_run_is_stalled_unless_it_is_its_own_run_whose_retry_is_held(
    filled: StoredDatabase, held: Any
) -> None:
    pipeline = a_pipeline_run()
    first, second = rows_of(pipeline)
    row = msgspec.structs.replace(first, run_id=RUN.run_id, state=NodeState.RUNNING)
    write(filled, lambda uow: uow.pipelines.add(pipeline, a_bound(pipeline), [row, second]))
    if held is not None:
        hold(filled, a_held(held.run_id))

    stalled = filled.read(lambda uow: uow.pipelines.stalled(known_since=NOW, limit=10))

    assert stalled == ([] if held is RUN else [pipeline])
