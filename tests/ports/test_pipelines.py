# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How pipeline runs are kept, on both databases."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest

from animus_contracts.artifacts import Metric
from animus_contracts.identifiers import PipelineRunId, RunId
from animus_contracts.pipeline_runs import NodeRun, NodeState, PipelineRun, PipelineState
from animus_control.domain.user_groups import KnownGroups
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.database import StoredDatabase
from animus_control.storage.failures import RuleBrokenError
from tests.ports.records_of_a_project import (
    NOW,
    OTHER_ID,
    PROJECT_ID,
    a_run,
    add_runs,
    add_surroundings,
    identifier,
    write,
)
from tests.ports.records_of_pipelines import ID, a_bound, a_pipeline_run, rows_of

RUN = a_run(100)


@pytest.fixture
def filled(database: StoredDatabase) -> StoredDatabase:
    """A database with a run."""
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, RUN))
    return database


@pytest.fixture
def run(filled: StoredDatabase) -> PipelineRun:
    stored = a_pipeline_run()
    write(filled, lambda uow: uow.pipelines.add(stored, a_bound(stored), rows_of(stored)))
    return stored


def change(database: StoredDatabase, run: PipelineRun, *rows: NodeRun, **changes: object) -> bool:
    def work(uow: UnitOfWork) -> bool:
        uow.pipelines.save_nodes(rows)
        after = msgspec.structs.replace(run, version=run.version + 1, **changes)
        return uow.pipelines.compare_and_set(after, expected_version=run.version)

    return write(database, work)


def test_what_was_stored_is_read_as_it_was(filled: StoredDatabase, run: PipelineRun) -> None:
    assert filled.read(lambda uow: uow.pipelines.get(PROJECT_ID, ID)) == run
    assert filled.read(lambda uow: uow.pipelines.plan(PROJECT_ID, ID)) == a_bound(run)
    assert filled.read(lambda uow: uow.pipelines.nodes(PROJECT_ID, ID)) == rows_of(run)
    assert filled.read(lambda uow: uow.pipelines.get(OTHER_ID, ID)) is None
    with pytest.raises(LookupError):
        filled.read(lambda uow: uow.pipelines.plan(OTHER_ID, ID))


def test_a_change_goes_in_once_and_is_found_by_its_version(filled: StoredDatabase, run: PipelineRun) -> None:
    row = msgspec.structs.replace(
        rows_of(run)[1], state=NodeState.SKIPPED, version=2, reason="why", metrics={"m": 0.5}, ended_at=NOW
    )
    assert change(filled, run, row, counts={NodeState.SKIPPED: 1})
    assert not change(filled, run)
    assert filled.read(lambda uow: uow.pipelines.nodes(PROJECT_ID, ID, after=1)) == [row]
    stored = filled.read(lambda uow: uow.pipelines.get(PROJECT_ID, ID))
    assert stored is not None
    assert (stored.version, stored.counts) == (2, {NodeState.SKIPPED: 1})


def test_nothing_follows_an_end(filled: StoredDatabase, run: PipelineRun) -> None:
    row = msgspec.structs.replace(rows_of(run)[0], state=NodeState.FAILED, version=2)
    assert change(filled, run, row, state=PipelineState.FAILED, finished_at=NOW)
    ended = filled.read(lambda uow: uow.pipelines.get(PROJECT_ID, ID))
    assert ended is not None
    assert not change(filled, ended, state=PipelineState.SUCCEEDED)
    with pytest.raises(RuleBrokenError):
        change(filled, ended, msgspec.structs.replace(row, state=NodeState.SUCCEEDED))


def test_a_pipeline_run_is_stored_once_and_its_plan_never_changes(filled: StoredDatabase, run: PipelineRun) -> None:
    with pytest.raises(AlreadyExistsError):
        write(filled, lambda uow: uow.pipelines.add(run, a_bound(run), rows_of(run)))


def test_a_node_cannot_name_a_run_that_is_not_there(filled: StoredDatabase, run: PipelineRun) -> None:
    row = msgspec.structs.replace(rows_of(run)[0], run_id=RunId(identifier(999)), state=NodeState.RUNNING)
    with pytest.raises(RuleBrokenError):
        change(filled, run, row)


def test_a_pipeline_run_with_a_live_run_is_not_stalled(filled: StoredDatabase, run: PipelineRun) -> None:
    row = msgspec.structs.replace(rows_of(run)[0], run_id=RUN.run_id, state=NodeState.RUNNING, version=2)
    assert change(filled, run, row)
    assert filled.read(lambda uow: uow.pipelines.stalled(known_since=NOW, limit=10)) == []


def test_only_pipeline_runs_in_which_nothing_goes_on_are_stalled(filled: StoredDatabase, run: PipelineRun) -> None:
    def stalled() -> list[PipelineRunId]:
        return [
            each.pipeline_run_id for each in filled.read(lambda uow: uow.pipelines.stalled(known_since=NOW, limit=10))
        ]

    assert stalled() == [ID]
    assert change(filled, run, state=PipelineState.SUCCEEDED, finished_at=NOW)
    assert stalled() == []


@pytest.mark.parametrize(("told_at", "is_back"), [(None, False), (-1, False), (0, True)], ids=str)
def test_a_pipeline_run_with_a_held_node_comes_back_once_its_owners_groups_are_known(
    filled: StoredDatabase, run: PipelineRun, told_at: int | None, is_back: bool
) -> None:
    held = msgspec.structs.replace(rows_of(run)[0], reason="the Hub has not said lately", version=2)
    assert change(filled, run, held)
    if told_at is not None:
        told = KnownGroups(name="ann", groups=frozenset(), as_of=NOW + timedelta(seconds=told_at))
        filled.write(lambda uow: uow.user_groups.put(told)).result(5)

    assert bool(filled.read(lambda uow: uow.pipelines.stalled(known_since=NOW, limit=10))) is is_back


def test_nodes_are_paged_in_the_order_of_the_plan(filled: StoredDatabase, run: PipelineRun) -> None:
    del run

    def page(cursor: str | None, node: str | None = None) -> tuple[list[str], str | None]:
        found = filled.read(lambda uow: uow.pipelines.page_of_nodes(PROJECT_ID, ID, limit=1, cursor=cursor, node=node))
        return [row.node for row in found.items], found.next_cursor

    first, cursor = page(None)
    assert (first, page(cursor), page(None, "b")) == (["a"], (["b"], None), (["b"], None))


def test_of_each_metric_the_last_value_is_found(filled: StoredDatabase) -> None:
    run_id = RUN.run_id
    values = [("loss", 3.0), ("acc", 0.1), ("loss", 2.0), ("loss", 1.0)]
    metrics = [
        Metric(run_id=run_id, sequence=number, name=name, step=number, value=value, logged_at=NOW)
        for number, (name, value) in enumerate(values, 1)
    ]
    write(filled, lambda uow: uow.metrics.add(PROJECT_ID, metrics))
    assert filled.read(lambda uow: uow.metrics.latest(PROJECT_ID, run_id)) == {"acc": 0.1, "loss": 1.0}
