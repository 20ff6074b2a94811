# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Whoever gets past the guards of the audit log leaves a trace that a reader finds without trusting the database."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import Connection

from animus_contracts.audit import ChainFault, chain_hash, first_fault
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import WAIT_SECONDS, audit_record

EVENTS = 6
SUBSTR = {
    "sqlite": "record = CAST(replace(CAST(record AS TEXT), 'user:ann', 'user:eve') AS BLOB)",
    "postgresql": "record = convert_to(replace(convert_from(record, 'UTF8'), 'user:ann', 'user:eve'), 'UTF8')",
}


@pytest.fixture
def log(database: StoredDatabase) -> StoredDatabase:
    """A database whose audit log has six events."""
    for number in range(EVENTS):
        database.write(lambda uow, n=number: uow.audit.append(audit_record(f"run:{n}"))).result(WAIT_SECONDS)
    return database


def tamper(database: StoredDatabase, *attack: str) -> None:
    """Do what only the owner of the database can: put the guards aside, change the log, put them back."""
    engine = database._engine
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            statements = ["ALTER TABLE audit_events DISABLE TRIGGER ALL", *attack,
                          "ALTER TABLE audit_events ENABLE TRIGGER ALL"]  # fmt: skip
        else:
            statements = ["DROP TRIGGER guard_audit_events_update", "DROP TRIGGER guard_audit_events_delete", *attack]
        for statement in statements:
            connection.exec_driver_sql(statement)


def found(database: StoredDatabase) -> ChainFault | str | None:
    """Return the first fault of the chain, or that it does not end where the head says."""
    events = database.read(lambda uow: uow.audit.page(None, limit=200, cursor=None)).items
    head = database.read(lambda uow: uow.audit.head())
    end = (events[-1].sequence, events[-1].hash)
    return first_fault(events) or (None if end == head else f"the log ends at {end[0]}, the head at {head[0]}")


def dialect(database: StoredDatabase) -> str:
    return database._engine.dialect.name


def test_untouched_log_has_no_fault(log: StoredDatabase) -> None:
    assert found(log) is None


def test_edited_event_is_found(log: StoredDatabase) -> None:
    tamper(log, f"UPDATE audit_events SET {SUBSTR[dialect(log)]} WHERE sequence = 3")  # noqa: S608 - a constant of this test
    assert found(log) == ChainFault(sequence=3, fault="content does not match its hash")


def test_deleted_event_is_found(log: StoredDatabase) -> None:
    tamper(log, "DELETE FROM audit_events WHERE sequence = 4")
    assert found(log) == ChainFault(sequence=4, fault="missing: found 5 instead")


def test_swapped_events_are_found(log: StoredDatabase) -> None:
    tamper(
        log,
        "UPDATE audit_events SET sequence = 99 WHERE sequence = 2",
        "UPDATE audit_events SET sequence = 2 WHERE sequence = 3",
        "UPDATE audit_events SET sequence = 3 WHERE sequence = 99",
    )
    assert found(log) == ChainFault(sequence=2, fault="does not follow its predecessor")


def test_cut_tail_is_found_by_the_head(log: StoredDatabase) -> None:
    tamper(log, "DELETE FROM audit_events WHERE sequence > 4")
    assert found(log) == "the log ends at 4, the head at 6"


def test_rechained_history_is_found_by_the_head(log: StoredDatabase) -> None:
    events = log.read(lambda uow: uow.audit.page(None, limit=200, cursor=None)).items
    statements, previous = [], events[1].hash
    for event in events[2:]:
        record = bytes(event.record).replace(b"user:ann", b"user:eve")
        new = chain_hash(previous, record)
        value = {"sqlite": f"X'{record.hex()}'", "postgresql": rf"'\x{record.hex()}'"}[dialect(log)]
        statements.append(
            f"UPDATE audit_events SET record = {value}, previous_hash = '{previous}', hash = '{new}' "  # noqa: S608 - a constant of this test
            f"WHERE sequence = {event.sequence}"
        )
        previous = new
    tamper(log, *statements)
    assert found(log) == "the log ends at 6, the head at 6"


def test_log_that_was_cut_is_not_silently_continued(log: StoredDatabase) -> None:
    tamper(log, "DELETE FROM audit_events WHERE sequence > 4")
    log.write(lambda uow: uow.audit.append(audit_record())).result(WAIT_SECONDS)
    assert found(log) == ChainFault(sequence=5, fault="missing: found 7 instead")


def test_head_that_was_moved_under_a_writer_makes_the_commit_fail(database: StoredDatabase) -> None:
    def moves(connection: Connection) -> Callable[..., None]:
        def work(*_: object) -> None:
            connection.exec_driver_sql("UPDATE audit_head SET sequence = 5")

        return work

    def work(uow: object) -> None:
        uow.audit.append(audit_record())  # type: ignore[attr-defined]  # the stored unit of work
        moves(uow.session._transaction.connection)()  # type: ignore[attr-defined]  # past the ports, as only an attack can

    with pytest.raises(RuntimeError, match="no longer ends at 0"):
        database.write(work).result(WAIT_SECONDS)
    assert database.read(lambda uow: uow.audit.head())[0] == 0
