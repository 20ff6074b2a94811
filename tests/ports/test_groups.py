# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""That rows wait to be written and that answers are remembered cannot be told by anybody."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable
from typing import Any

import pytest

from animus_contracts.audit import first_fault
from animus_contracts.identifiers import BindingId, DecisionId
from animus_contracts.lineage import LineageEdge, Predicate
from animus_contracts.projects import ProjectState, Role, RoleBinding, SubjectType
from animus_contracts.runs import RunState
from animus_control.domain.errors import AnimusError
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError, StoredAnswer
from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import build_engines, open_database
from animus_control.storage.failures import RuleBrokenError
from animus_control.storage.session import UnauditedChangeError
from tests.ports.records_of_a_project import (
    NOW,
    PROJECT_ID,
    WHO,
    a_dataset,
    a_project,
    a_run,
    add_runs,
    add_surroundings,
    audit_record,
    changed,
    identifier,
    write,
)
from tests.ports.test_units_of_work import Batch, adds_dataset, dataset_names

WINE = "d11"


def together(database: StoredDatabase, *works: Callable[[UnitOfWork], Any]) -> list[Any]:
    """Commit pieces of work in one group and return what each gave or raised."""
    batch = Batch(database)
    for work in works:
        batch.add(work)
    return batch.run()


def audited(work: Callable[[UnitOfWork], Any]) -> Callable[[UnitOfWork], Any]:
    def piece(uow: UnitOfWork) -> Any:
        uow.audit.append(audit_record())
        return work(uow)

    return piece


def a_binding(subject: str, role: Role = Role.EDITOR) -> RoleBinding:
    return RoleBinding(
        binding_id=BindingId(identifier(abs(hash(subject)) % 10_000)), project_id=PROJECT_ID,
        subject_type=SubjectType.USER, subject=subject, role=role, created_at=NOW, created_by=WHO,
    )  # fmt: skip


def an_edge(head: str) -> LineageEdge:
    return LineageEdge(
        edge_id=identifier(62), project_id=PROJECT_ID, subject=head, predicate=Predicate.USED, object="b",
        created_at=NOW,
    )  # fmt: skip


def breaks_after(work: Callable[[UnitOfWork], Any]) -> Callable[[UnitOfWork], Any]:
    def piece(uow: UnitOfWork) -> None:
        uow.audit.append(audit_record("broken"))
        work(uow)
        raise LookupError

    return piece


def child_without_parent(uow: UnitOfWork) -> None:
    add_runs(uow, changed(a_run(777), policy_decision_id=DecisionId(identifier(9999))))


REFUSED: dict[str, tuple[Callable[[UnitOfWork], Any], type[Exception]]] = {
    "a name that was taken": (audited(lambda uow: uow.datasets.add(a_dataset(60, WINE))), AlreadyExistsError),
    "an id that was taken": (audited(lambda uow: uow.datasets.add(a_dataset(11, "other"))), AlreadyExistsError),
    "a child without its parent": (audited(child_without_parent), RuleBrokenError),
    "no audit record": (lambda uow: uow.datasets.add(a_dataset(61, "unaudited")), UnauditedChangeError),
    "an error after a row": (breaks_after(lambda uow: uow.datasets.add(a_dataset(62, "never"))), LookupError),
    "an error after a taken name": (
        breaks_after(lambda uow: uow.datasets.add(a_dataset(63, WINE))),
        AlreadyExistsError,
    ),
    "an error after a change": (
        breaks_after(lambda uow: uow.projects.compare_and_set(changed(a_project(), version=2), expected_version=1)),
        LookupError,
    ),
    "an error after a row and a change": (
        breaks_after(
            lambda uow: (
                uow.datasets.add(a_dataset(64, "never")),
                uow.projects.compare_and_set(changed(a_project(), version=2), expected_version=1),
            )
        ),
        LookupError,
    ),
}


@pytest.mark.parametrize("place", range(3), ids=["first", "in the middle", "last"])
@pytest.mark.parametrize("refused", REFUSED)
def test_refused_piece_is_told_and_the_others_are_durable(database: StoredDatabase, refused: str, place: int) -> None:
    write(database, add_surroundings)
    write(database, lambda uow: uow.datasets.add(a_dataset(1, WINE)))
    before = database.read(lambda uow: uow.audit.head())[0]
    work, error = REFUSED[refused]
    works: list[Callable[[UnitOfWork], Any]] = [adds_dataset(1001), adds_dataset(1002)]
    works.insert(place, work)
    given = together(database, *works)
    assert isinstance(given.pop(place), error)
    assert given == [1001, 1002]
    assert dataset_names(database) == sorted(["wine", WINE, "d1001", "d1002"])
    assert database.read(lambda uow: uow.projects.get("alpha")) == a_project()
    events = database.read(lambda uow: uow.audit.page(None, limit=99, cursor=None)).items
    assert [event.sequence for event in events] == list(range(1, before + 3))
    assert first_fault(events) is None


def test_of_a_group_that_wants_one_name_the_first_gets_it_and_the_rest_are_told(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    works = [audited(lambda uow, n=number: uow.datasets.add(a_dataset(n, "one"))) for number in range(20, 25)]
    given = together(database, *works)
    assert [type(each) for each in given] == [type(None), *[AlreadyExistsError] * 4]
    assert dataset_names(database) == ["one"]


def test_piece_that_swallows_the_refusal_of_another_is_not_blamed_for_it(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    write(database, adds_dataset(11))

    def reads_and_swallows(uow: UnitOfWork) -> list[str]:
        try:
            return [item.name for item in uow.datasets.page(PROJECT_ID, limit=9, cursor=None).items]
        except Exception:  # noqa: BLE001 - it is what is tested
            return ["swallowed"]

    refused, seen = together(database, REFUSED["a name that was taken"][0], reads_and_swallows)
    assert isinstance(refused, AlreadyExistsError)
    assert seen == [WINE]


def test_answer_of_work_that_was_done_twice_is_what_was_stored(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    write(database, adds_dataset(11))
    numbers = itertools.count(500)

    def adds_another_each_time(uow: UnitOfWork) -> str:
        number = next(numbers)
        adds_dataset(number)(uow)
        return f"d{number}"

    _, stored = together(database, REFUSED["a name that was taken"][0], adds_another_each_time)
    assert next(numbers) > 501
    assert dataset_names(database) == sorted([WINE, stored])


def answer(body: bytes = b"{}") -> StoredAnswer:
    return StoredAnswer(fingerprint="f", status=201, body=body, location="")


Act = Callable[[UnitOfWork], Any]
VISIBLE: dict[str, tuple[Act, Act]] = {
    "by its key": (
        lambda uow: uow.datasets.add(a_dataset(90, "new")),
        lambda uow: uow.datasets.get(PROJECT_ID, identifier(90)),
    ),
    "by a field": (
        lambda uow: uow.datasets.add(a_dataset(90, "new")),
        lambda uow: uow.datasets.find(PROJECT_ID, name="new"),
    ),
    "in a page": (
        lambda uow: uow.datasets.add(a_dataset(90, "new")),
        lambda uow: [item.name for item in uow.datasets.page(PROJECT_ID, limit=9, cursor=None).items],
    ),
    "in a search": (
        lambda uow: uow.lineage.add([an_edge("a")]),
        lambda uow: uow.lineage.touching(PROJECT_ID, ["a"], limit=9),
    ),
    "by two keys": (
        lambda uow: uow.idempotency.add("s", "k", answer(), expires_at=NOW),
        lambda uow: uow.idempotency.find("s", "k"),
    ),
    "in a count": (
        lambda uow: uow.role_bindings.put(a_binding("bob", Role.ADMIN)),
        lambda uow: uow.role_bindings.count_admins(PROJECT_ID),
    ),
    "after a replacement": (
        lambda uow: uow.role_bindings.put(a_binding("ann", Role.ADMIN)),
        lambda uow: [item.role for item in uow.role_bindings.of_subjects([(SubjectType.USER, "ann")])],
    ),
    "after a deletion": (
        lambda uow: uow.role_bindings.delete(PROJECT_ID, a_binding("ann").binding_id),
        lambda uow: uow.role_bindings.get(PROJECT_ID, a_binding("ann").binding_id),
    ),
    "after a compare and set": (
        lambda uow: uow.projects.compare_and_set(
            changed(a_project(), state=ProjectState.ARCHIVED, version=2), expected_version=1
        ),
        lambda uow: uow.projects.get("alpha").state,
    ),
    "in a queue": (
        lambda uow: add_runs(uow, a_run(50)),
        lambda uow: [head.run_id for head in uow.queue.heads("linux_x86_64")],
    ),
    "in a sum": (lambda uow: add_runs(uow, a_run(50)), lambda uow: dict(uow.runs.count_by_state())),
    "in the log": (lambda _: None, lambda uow: len(uow.audit.page(None, limit=99, cursor=None).items)),
}


@pytest.fixture
def filled(database: StoredDatabase) -> StoredDatabase:
    write(database, add_surroundings)
    write(database, lambda uow: (add_runs(uow, a_run(60)), uow.role_bindings.put(a_binding("ann"))))
    return database


@pytest.mark.parametrize("seen", [name for name in VISIBLE if name != "in the log"])
def test_work_sees_at_once_what_it_did_itself(filled: StoredDatabase, seen: str) -> None:
    act, look = VISIBLE[seen]
    before, after = write(filled, lambda uow: (look(uow), (act(uow), look(uow))[1]))
    assert before != after
    assert after == filled.read(look)


@pytest.mark.parametrize("seen", VISIBLE)
def test_work_sees_what_an_earlier_piece_did_and_nothing_of_one_that_failed(filled: StoredDatabase, seen: str) -> None:
    act, look = VISIBLE[seen]
    before, failed, unchanged, _, after = together(
        filled, look, breaks_after(lambda uow: (act(uow), look(uow))), look, audited(act), look
    )
    assert isinstance(failed, LookupError)
    assert unchanged == before
    assert after != before
    assert after == filled.read(look)


@pytest.mark.parametrize("seen", VISIBLE)
def test_work_sees_what_another_process_did(filled: StoredDatabase, database_url: str, seen: str) -> None:
    act, look = VISIBLE[seen]
    other = open_database(database_url)
    before = filled.write(look).result()
    write(other, act)
    assert filled.write(look).result() == other.write(look).result() != before
    other.close()


def test_work_sees_what_someone_did_past_us(filled: StoredDatabase, database_url: str) -> None:
    assert filled.write(lambda uow: uow.projects.get("alpha")).result() == a_project()
    filled.write(lambda uow: uow.role_bindings.get(PROJECT_ID, a_binding("ann").binding_id)).result()
    engine = build_engines(database_url).writer
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE projects SET state = 'archived'")
        connection.exec_driver_sql("DELETE FROM role_bindings")
    engine.dispose()
    archived = filled.write(lambda uow: uow.projects.get("alpha")).result()
    assert archived == changed(a_project(), state=ProjectState.ARCHIVED)
    assert filled.write(lambda uow: uow.role_bindings.page(PROJECT_ID, limit=9, cursor=None)).result().items == []


def test_commit_that_fails_leaves_nothing_to_be_remembered(filled: StoredDatabase) -> None:
    run = a_run(60)

    def moves_and_forks(uow: UnitOfWork) -> Any:
        uow.runs.compare_and_set(changed(run, state=RunState.CANCELED, version=2), expected_version=1)
        uow.audit.append(audit_record())
        transaction = uow.session._transaction  # type: ignore[attr-defined]  # past the ports, as only an attack can
        transaction.connection.exec_driver_sql("UPDATE audit_head SET sequence = 99")
        return uow.runs.get(PROJECT_ID, run.run_id)

    with pytest.raises(RuntimeError, match="no longer ends"):
        filled.write(moves_and_forks).result()
    assert filled.write(lambda uow: uow.runs.get(PROJECT_ID, run.run_id)).result() == run


def test_work_is_done_on_the_thread_of_a_loop_that_offers_it_and_what_is_queued_at_the_end_is_done(
    database_url: str,
) -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        writing = open_database(database_url, loop.call_soon_threadsafe)
        from_elsewhere = await asyncio.to_thread(writing.write, lambda _uow: threading.get_ident())
        threads = [writing.write(lambda _uow: threading.get_ident()) for _ in range(3)]
        assert not any(future.done() for future in threads), "the loop has not had its turn"
        found = await asyncio.gather(*map(asyncio.wrap_future, [from_elsewhere, *threads]))
        assert set(found) == {threading.get_ident()}
        last = writing.write(lambda uow: uow.audit.head())
        writing.close()
        assert last.done()
        with pytest.raises(AnimusError, match="closed"):
            writing.write(lambda _uow: None).result(0)

    asyncio.run(scenario())


def test_groups_that_follow_each_other_share_a_connection_that_nobody_holds_afterwards(database_url: str) -> None:
    async def scenario() -> None:
        writing = open_database(database_url, asyncio.get_running_loop().call_soon_threadsafe)
        transactions = [writing.write(lambda uow: uow.session._transaction) for _ in range(9)]  # type: ignore[attr-defined]  # past the ports
        found = await asyncio.gather(*map(asyncio.wrap_future, transactions))
        assert len({id(transaction) for transaction in found}) == 2, "nine pieces are two groups"
        assert len({id(transaction.connection) for transaction in found}) == 1
        await asyncio.sleep(0)
        assert writing._engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a pool of a fixed size has it
        writing.close()

    asyncio.run(scenario())
