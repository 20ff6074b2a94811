# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two engines for one database: one connection that writes, and a pool of connections that cannot.

SQLite: write-ahead log, every commit synced to disk (``synchronous=FULL``), foreign keys on. The standard library's
driver would begin transactions by itself and late, so BEGIN is ours: IMMEDIATE to write, deferred for a snapshot.
PostgreSQL: ``synchronous_commit`` stays on whatever the server's default is; a read is one REPEATABLE READ snapshot.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import DBAPIError

from animus_control.storage.database import ReadableStore, StoredDatabase
from animus_control.storage.failures import translate
from animus_control.storage.writer import Soon

READERS = 8
WAIT_SECONDS = 5.0
MIGRATION_LOCK = 4_201_968  # any number: all control planes of a database take the same one
PRAGMAS = (
    "journal_mode=WAL",
    "synchronous=FULL",
    "foreign_keys=ON",
    "recursive_triggers=ON",  # otherwise REPLACE deletes rows past the guards
    "wal_autocheckpoint=8000",  # pages, 32 MiB: what is written again and again is copied to the database less often
    f"busy_timeout={int(WAIT_SECONDS * 1000)}",
)

SETTINGS = (
    "synchronous_commit=on",
    "jit=off",  # compiling the query of the queue takes thirty times as long as executing it
    "lock_timeout=5s",
    "statement_timeout=30s",
    "idle_in_transaction_session_timeout=10s",  # a process that hangs lets go of the audit log's head
)


class SchemaError(RuntimeError):
    """The database was written by another version of Animus and cannot be brought to this one."""


@dataclass(frozen=True, slots=True)
class Engines:
    """The way to write and the way to read."""

    writer: Engine
    reader: Engine


def open_database(url: str, soon: Soon | None = None) -> StoredDatabase:
    """Open a database, bring its schema to the newest state and start its writer.

    Args:
        url: ``sqlite:///<path>`` or ``postgresql://…``.
        soon: Has a function called soon on the thread that writes; None gives the writer a thread of its own.

    Raises:
        SchemaError: If the schema cannot be brought to this version.
        AnimusError: If the database cannot be reached.
    """
    engines = build_engines(url)
    try:
        migrate(engines.writer)
    except DBAPIError as error:
        raise translate(error) from error
    finally:
        engines.writer.dispose()
    return StoredDatabase(engines.writer, engines.reader, soon)


def open_for_reading(url: str) -> ReadableStore:
    """Open a database, which must have the newest schema, where another process writes."""
    engines = build_engines(url)
    engines.writer.dispose()
    return ReadableStore(engines.reader)


def build_engines(url: str) -> Engines:
    """Build the engines of a database without connecting."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        return _sqlite(parsed)
    if parsed.get_backend_name() == "postgresql":
        return _postgresql(parsed.set(drivername="postgresql+psycopg"))
    raise ValueError("the database must be sqlite:///<path> or postgresql://…")


def migrate(engine: Engine) -> None:
    """Bring the schema to the newest state, in one transaction; two that do so at once wait for each other."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.set_main_option("path_separator", "os")
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({MIGRATION_LOCK})")
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise SchemaError(f"the database's schema is of another version: {error}") from error


def _sqlite(url: URL) -> Engines:
    if not url.database or url.database == ":memory:":
        raise ValueError("the database needs a file: sqlite:///<path>")
    path = Path(url.database)
    path.parent.mkdir(parents=True, exist_ok=True)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # SQLite gives the log files the same mode
    url = url.set(drivername="sqlite+pysqlite")
    writer = create_engine(url, pool_size=1, max_overflow=0)
    reader = create_engine(url, pool_size=READERS, max_overflow=0, pool_timeout=WAIT_SECONDS)
    _own_transactions(writer, "BEGIN IMMEDIATE", PRAGMAS)
    _own_transactions(reader, "BEGIN", (*PRAGMAS, "query_only=ON"))
    return Engines(writer, reader)


def _own_transactions(engine: Engine, begin: str, pragmas: tuple[str, ...]) -> None:
    @event.listens_for(engine, "connect")
    def prepare(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").close()

    @event.listens_for(engine, "begin")
    def start(connection: Connection) -> None:
        driver: Any = connection.connection.driver_connection  # past SQLAlchemy, which takes longer for it than SQLite
        driver.execute(begin).close()


def _postgresql(url: URL) -> Engines:
    durable = {"options": " ".join(f"-c {setting}" for setting in SETTINGS)}
    writer = create_engine(url, pool_size=1, max_overflow=0, pool_pre_ping=True, connect_args=durable)
    reader = create_engine(
        url, pool_size=READERS, max_overflow=0, pool_timeout=WAIT_SECONDS, pool_pre_ping=True, connect_args=durable,
        isolation_level="REPEATABLE READ", execution_options={"postgresql_readonly": True},
    )  # fmt: skip
    return Engines(writer, reader)
