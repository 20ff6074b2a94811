# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A piece of work is durable as a whole before anyone is told, or it has never been; its neighbours do not notice."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Any

import pytest

from animus_contracts.audit import GENESIS, first_fault
from animus_contracts.digests import NotCanonicalError, canonical
from animus_control.domain.errors import AnimusError
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import open_database
from animus_control.storage.session import UNAUDITED, ReadOnlyError, UnauditedChangeError
from animus_control.storage.tables import SCHEMA
from tests.ports.records_of_a_project import (
    NOW,
    OTHER_ID,
    PROJECT_ID,
    WAIT_SECONDS,
    a_dataset,
    a_project,
    a_run,
    add_runs,
    add_surroundings,
    audit_record,
    changed,
    write,
)


class Batch:
    """Holds the writer until everything that is to be committed together has been queued."""

    def __init__(self, database: StoredDatabase) -> None:
        self._database = database
        self._go = threading.Event()
        self._held = database.write(lambda _: self._go.wait(WAIT_SECONDS))
        self.futures: list[Future[Any]] = []

    def add(self, work: Callable[[UnitOfWork], Any]) -> None:
        self.futures.append(self._database.write(work))

    def run(self) -> list[Any]:
        """Let the writer go and return what each piece gave or raised."""
        self._go.set()
        self._held.result(WAIT_SECONDS)
        return [future.exception(WAIT_SECONDS) or future.result() for future in self.futures]


def adds_dataset(number: int) -> Callable[[UnitOfWork], int]:
    def work(uow: UnitOfWork) -> int:
        uow.datasets.add(a_dataset(number, f"d{number}"))
        uow.audit.append(audit_record(f"dataset:{number}"))
        return number

    return work


def dataset_names(database: StoredDatabase) -> list[str]:
    page = database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=99, cursor=None))
    return sorted(dataset.name for dataset in page.items)


def test_piece_that_raises_takes_back_its_own_changes_and_no_others(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    before = database.read(lambda uow: uow.audit.head())[0]
    error = LookupError("the work's own")

    def breaks(uow: UnitOfWork) -> None:
        adds_dataset(50)(uow)
        uow.notify("never")
        raise error

    heard: list[str] = []
    database.subscribe(heard.append)
    batch = Batch(database)
    for work in (adds_dataset(1), breaks, adds_dataset(1), adds_dataset(2)):
        batch.add(work)
    first, broken, twice, second = batch.run()
    assert (first, broken, second) == (1, error, 2)
    assert isinstance(twice, AlreadyExistsError)
    assert dataset_names(database) == ["d1", "d2"]
    events = database.read(lambda uow: uow.audit.page(None, limit=99, cursor=None)).items
    assert [event.sequence for event in events] == list(range(1, before + 3))
    assert first_fault(events) is None
    assert heard == []


def test_later_piece_of_a_batch_sees_what_an_earlier_one_did(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    batch = Batch(database)
    batch.add(adds_dataset(1))
    batch.add(lambda uow: uow.datasets.find(PROJECT_ID, name="d1"))
    assert batch.run() == [1, a_dataset(1, "d1")]


def test_refused_record_ends_the_piece_even_when_the_work_swallows_it(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))

    def swallows(uow: UnitOfWork) -> str:
        uow.audit.append(audit_record())
        with suppress(AlreadyExistsError):
            uow.projects.add(a_project(OTHER_ID))
        return "as if nothing had been"

    with pytest.raises(AlreadyExistsError):
        database.write(swallows).result(WAIT_SECONDS)


@pytest.mark.parametrize(
    "change",
    [
        lambda uow: uow.projects.add(a_project(OTHER_ID, "bravo")),
        lambda uow: uow.projects.compare_and_set(changed(a_project(), version=2), expected_version=1),
        lambda uow: uow.datasets.add(a_dataset(77, "new")),
        lambda uow: uow.runs.compare_and_set(changed(a_run(), version=2), expected_version=1),
        lambda uow: add_runs(uow, a_run(101)),
    ],
    ids=["add", "compare and set", "record", "run", "run and plan"],
)
def test_change_without_audit_record_is_refused_and_rolled_back(
    database: StoredDatabase, change: Callable[[UnitOfWork], Any]
) -> None:
    write(database, add_surroundings)
    write(database, lambda uow: add_runs(uow, a_run()))

    def everything(uow: UnitOfWork) -> list[Any]:
        return [
            uow.projects.page(limit=9, cursor=None, name=None, only=None),
            uow.datasets.page(PROJECT_ID, limit=9, cursor=None),
            uow.runs.page(PROJECT_ID, limit=9, cursor=None),
        ]

    before = database.read(everything)
    with pytest.raises(UnauditedChangeError):
        database.write(change).result(WAIT_SECONDS)
    assert database.read(everything) == before


def test_change_that_touches_nothing_needs_no_audit_record(database: StoredDatabase) -> None:
    unmet = database.write(lambda uow: uow.projects.compare_and_set(a_project(), expected_version=9))
    assert unmet.result(WAIT_SECONDS) is False


def test_every_exception_from_auditing_names_a_fact_and_a_reason() -> None:
    assert {fact.partition(".")[0] for fact in UNAUDITED} <= set(SCHEMA.tables)
    assert all(UNAUDITED.values())


def test_record_without_canonical_form_fails_its_own_piece_alone(database: StoredDatabase) -> None:
    batch = Batch(database)
    batch.add(lambda uow: uow.audit.append(audit_record(details={"nan": float("nan")})))
    batch.add(lambda uow: uow.audit.append(audit_record()))
    broken, fine = batch.run()
    assert isinstance(broken, NotCanonicalError)
    assert fine is None
    assert database.read(lambda uow: uow.audit.head())[0] == 1


def test_stored_record_is_the_canonical_form_of_the_record(database: StoredDatabase) -> None:
    assert database.read(lambda uow: uow.audit.head()) == (0, GENESIS)
    record = audit_record(details={"z": 1, "a": "ż", "n": None})
    database.write(lambda uow: uow.audit.append(record)).result(WAIT_SECONDS)
    (event,) = database.read(lambda uow: uow.audit.page(None, limit=9, cursor=None)).items
    assert bytes(event.record) == canonical(record)
    assert database.read(lambda uow: uow.audit.head()) == (1, event.hash)


def test_audit_log_is_paged_oldest_first_and_filtered(database: StoredDatabase) -> None:
    records = [
        audit_record("run:1"),
        audit_record("run:2", actor="user:bob"),
        audit_record("run:1", project_id=OTHER_ID),
        audit_record("log", project_id=None),
    ]
    database.write(lambda uow: [uow.audit.append(record) for record in records]).result(WAIT_SECONDS)

    def sequences(**asked: Any) -> list[int]:
        found: list[int] = []
        cursor = None
        while True:
            page = database.read(lambda uow, c=cursor: uow.audit.page(limit=1, cursor=c, **asked))
            found += [event.sequence for event in page.items]
            cursor = page.next_cursor
            if cursor is None:
                return found

    assert sequences(project_id=None) == [1, 2, 3, 4]
    assert sequences(project_id=PROJECT_ID) == [1, 2]
    assert sequences(project_id=PROJECT_ID, actor="user:bob") == [2]
    assert sequences(project_id=None, resource="run:1") == [1, 3]
    assert sequences(project_id=None, action="project.created") == []


def test_reader_cannot_write(database: StoredDatabase) -> None:
    with pytest.raises(ReadOnlyError):
        database.read(lambda uow: uow.projects.add(a_project()))


def test_reader_sees_one_snapshot_whatever_is_committed_meanwhile(database: StoredDatabase) -> None:
    def reads(uow: UnitOfWork) -> tuple[Any, Any]:
        before = uow.projects.get("alpha")
        write(database, lambda writing: writing.projects.add(a_project()))
        return before, uow.projects.get("alpha")

    assert database.read(reads) == (None, None)
    assert database.read(lambda uow: uow.projects.get("alpha")) == a_project()


def test_listener_is_woken_after_the_commit_until_it_stops(database: StoredDatabase) -> None:
    seen: list[tuple[str, bool]] = []

    def listener(channel: str) -> None:
        seen.append((channel, database.read(lambda uow: uow.projects.get("alpha")) is not None))

    stop = database.subscribe(listener)

    def work(uow: UnitOfWork) -> None:
        uow.projects.add(a_project())
        uow.notify("queue")
        uow.notify("queue")

    write(database, work)
    write(database, lambda _: None)
    stop()
    database.write(lambda uow: uow.notify("queue")).result(WAIT_SECONDS)
    assert seen == [("queue", True)]


def test_listener_that_fails_does_not_silence_the_others(database: StoredDatabase) -> None:
    heard: list[str] = []

    def fails(_: str) -> None:
        raise LookupError

    database.subscribe(fails)
    database.subscribe(heard.append)
    database.write(lambda uow: uow.notify("queue")).result(WAIT_SECONDS)
    write(database, lambda _: None)
    assert heard == ["queue"]


def test_closing_finishes_what_was_queued_and_refuses_what_comes_later(database_url: str) -> None:
    database = open_database(database_url)
    queued = [database.write(lambda uow: uow.audit.append(audit_record())) for _ in range(20)]
    database.close()
    assert [future.exception(0) for future in queued] == [None] * 20
    with pytest.raises(AnimusError) as caught:
        database.write(lambda _: None).result(0)
    assert caught.value.code == "service_unavailable"
    database.close()


def test_check_passes_on_a_database_that_works_and_leaves_no_trace_in_the_log(database: StoredDatabase) -> None:
    database.check()
    assert database.read(lambda uow: uow.audit.head()) == (0, GENESIS)


def test_outbox_message_exists_exactly_when_its_change_does(database: StoredDatabase) -> None:
    def breaks(uow: UnitOfWork) -> None:
        uow.outbox.add("run", "1", {"state": "queued"}, NOW)
        raise LookupError

    assert isinstance(database.write(breaks).exception(WAIT_SECONDS), LookupError)
    database.write(lambda uow: uow.outbox.add("run", "2", {"state": "queued"}, NOW)).result(WAIT_SECONDS)
    engine = database._engine
    with engine.begin() as connection:
        assert [row.key for row in connection.execute(SCHEMA.tables["outbox"].select())] == ["2"]
