# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A full disk, a lock or a lost connection is told as what it is, loses nothing that was acknowledged, and passes."""

from __future__ import annotations

import logging
import os
import sqlite3
import stat
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import event, make_url

from animus_control.domain.errors import AnimusError
from animus_control.storage import engine as engine_module
from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import SchemaError, open_database
from tests.ports.records_of_a_project import PROJECT_ID, WAIT_SECONDS, a_dataset, a_project, audit_record, write
from tests.postgres_server import PostgresServer, find_binaries, running

LOGGED = "a commit failed"


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """Failures on purpose need not fill the output."""
    caplog.set_level(logging.CRITICAL)


@pytest.fixture
def sqlite_database(sqlite_url: str) -> StoredDatabase:
    """An open SQLite database whose writer cannot grow it beyond a few more pages, until ``free`` is called."""
    return open_database(sqlite_url)


def limit_pages(database: StoredDatabase, *, more: int | None) -> None:
    """Let SQLite run out of room as on a full disk: the same error, from the same place."""
    engine = database._engine
    with engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        limit = 1 << 30 if more is None else pages + more

    def apply(dbapi_connection: sqlite3.Connection, _record: object) -> None:
        dbapi_connection.execute(f"PRAGMA max_page_count={limit}").close()

    engine.dispose()
    event.listen(engine, "connect", apply)


def code_of(error: BaseException | None) -> str:
    assert isinstance(error, AnimusError), error
    return error.code


def test_full_sqlite_database_says_so_and_works_again_when_there_is_room(sqlite_database: StoredDatabase) -> None:
    database = sqlite_database
    write(database, lambda uow: uow.projects.add(a_project()))
    limit_pages(database, more=20)
    stored = []
    for number in range(10, 400):
        dataset = a_dataset(number, f"d{number}")
        error = database.write(
            lambda uow, d=dataset: (uow.datasets.add(d), uow.audit.append(audit_record(details={"x": "x" * 900})))
        ).exception(WAIT_SECONDS)
        if error is not None:
            break
        stored.append(dataset.name)
    assert code_of(error) == "storage_full"
    kept = database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=400, cursor=None))
    assert sorted(dataset.name for dataset in kept.items) == sorted(stored)
    limit_pages(database, more=None)
    write(database, lambda uow: uow.datasets.add(a_dataset(999, "again")))
    database.check()
    database.close()


def test_everyone_in_a_lost_transaction_is_told(sqlite_database: StoredDatabase) -> None:
    database = sqlite_database
    write(database, lambda uow: uow.projects.add(a_project()))
    limit_pages(database, more=8)
    futures = [
        database.write(
            lambda uow, n=number: (
                uow.datasets.add(a_dataset(n, f"d{n}")), uow.audit.append(audit_record(details={"x": "x" * 3000})),
            )
        )
        for number in range(10, 60)
    ]  # fmt: skip
    errors = [future.exception(WAIT_SECONDS) for future in futures]
    kept = database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=400, cursor=None))
    acknowledged = sorted(f"d{number}" for number, error in enumerate(errors, 10) if error is None)
    assert {code_of(error) for error in errors if error} == {"storage_full"}
    assert sorted(dataset.name for dataset in kept.items) == acknowledged
    database.close()


def test_locked_sqlite_database_is_unavailable_and_passes(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "PRAGMAS", (*engine_module.PRAGMAS[:-1], "busy_timeout=50"))
    database = open_database(sqlite_url)
    other = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    error = database.write(lambda uow: uow.audit.append(audit_record())).exception(WAIT_SECONDS)
    assert code_of(error) == "service_unavailable"
    with pytest.raises(AnimusError):
        database.check()
    assert database.read(lambda uow: uow.audit.head())[0] == 0
    other.execute("ROLLBACK")
    other.close()
    database.write(lambda uow: uow.audit.append(audit_record())).result(WAIT_SECONDS)
    database.close()


def test_sqlite_files_are_readable_by_their_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        database = open_database(f"sqlite:///{tmp_path / 'deep' / 'new.db'}")
        database.write(lambda uow: uow.audit.append(audit_record())).result(WAIT_SECONDS)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "deep").iterdir()}
        database.close()
    finally:
        os.umask(old)
    assert modes == {"new.db": 0o600, "new.db-wal": 0o600, "new.db-shm": 0o600}


def test_sqlite_is_durable_by_its_settings(sqlite_database: StoredDatabase) -> None:
    for each in (sqlite_database._engine, sqlite_database._reader):
        with each.connect() as connection:
            settings = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
                for name in ("journal_mode", "synchronous", "foreign_keys", "recursive_triggers")
            ]
        assert settings == ["wal", 2, 1, 1]
    sqlite_database.close()


@pytest.mark.postgres
def test_lost_postgresql_connections_are_replaced_without_a_restart(
    postgres_url: str, postgres_server: PostgresServer
) -> None:
    database = open_database(postgres_url)
    write(database, lambda uow: uow.projects.add(a_project()))
    database.read(lambda uow: uow.projects.get("alpha"))

    def cut() -> None:
        name = make_url(postgres_url).database
        postgres_server.execute(
            f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE datname = '{name}'"  # noqa: S608 - our own name
        )

    cut()
    assert database.read(lambda uow: uow.projects.get("alpha")) == a_project()
    write(database, lambda uow: uow.datasets.add(a_dataset()))

    def cut_in_the_middle(uow: object) -> None:
        uow.datasets.add(a_dataset(50, "never"))  # type: ignore[attr-defined]  # a unit of work
        cut()
        uow.audit.append(audit_record())  # type: ignore[attr-defined]  # a unit of work

    def cut_before_a_change(uow: object) -> None:
        cut()
        uow.projects.compare_and_set(a_project(), expected_version=1)  # type: ignore[attr-defined]  # a unit of work

    assert code_of(database.write(cut_in_the_middle).exception(WAIT_SECONDS)) == "service_unavailable"
    assert code_of(database.write(cut_before_a_change).exception(WAIT_SECONDS)) == "service_unavailable"
    write(database, lambda uow: uow.datasets.add(a_dataset(51, "after")))
    names = {d.name for d in database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=9, cursor=None)).items}
    assert names == {"wine", "after"}
    database.close()


@pytest.mark.postgres
def test_stopped_postgresql_is_unavailable_not_a_crash() -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL server")
    with running(binaries) as server:
        database = open_database(server.create("gone"))
        write(database, lambda uow: uow.projects.add(a_project()))
    with pytest.raises(AnimusError) as reading:
        database.read(lambda uow: uow.projects.get("alpha"))
    writing = database.write(lambda uow: uow.audit.append(audit_record())).exception(WAIT_SECONDS)
    assert (reading.value.code, code_of(writing)) == ("service_unavailable", "service_unavailable")
    database.close()


@pytest.mark.postgres
def test_postgresql_commits_are_synchronous_whatever_the_server_says(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        return
    database = open_database(database_url)
    with database._engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW synchronous_commit").scalar_one() == "on"
    database.close()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://x/y", "not a url"])
def test_url_that_is_no_durable_database_is_refused(url: str) -> None:
    with pytest.raises(Exception, match=r"(?i)database|url"):
        open_database(url)


def test_unreachable_database_is_unavailable() -> None:
    with pytest.raises(AnimusError) as caught:
        open_database("postgresql://nobody@/none?host=/nonexistent")
    assert caught.value.code == "service_unavailable"


def test_database_of_a_newer_version_is_refused(sqlite_url: str) -> None:
    open_database(sqlite_url).close()
    connection = sqlite3.connect(sqlite_url.removeprefix("sqlite:///"))
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    with pytest.raises(SchemaError, match="another version"):
        open_database(sqlite_url)


def test_drivers_are_the_ones_whose_errors_are_known() -> None:
    assert (sqlite3.paramstyle, psycopg.paramstyle) == ("qmark", "pyformat")
