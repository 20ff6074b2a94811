# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
# ruff: noqa: S608 - the names in these statements come from our own tables
"""What is final cannot be changed, whoever holds the connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from animus_contracts.datasets import StoredObject
from animus_contracts.identifiers import BindingId, PolicyId
from animus_contracts.policies import Policy, PolicyState
from animus_contracts.projects import ProjectState, Role, RoleBinding, SubjectType
from animus_contracts.runs import TERMINAL_STATES, RunState
from animus_control.services.ports import UnitOfWork
from animus_control.storage.columns import Word
from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import open_database
from animus_control.storage.guards import CHANGING, WRITTEN_ONCE
from animus_control.storage.tables import SCHEMA
from tests.ports.records_of_a_project import (
    NOW,
    PROJECT_ID,
    WHO,
    a_quota,
    a_run,
    add_runs,
    add_surroundings,
    changed,
    digest,
    identifier,
    write,
)
from tests.ports.records_of_attempts import add_attempt
from tests.ports.records_of_checks import add_checks
from tests.ports.records_of_pipelines import add_pipelines
from tests.ports.records_of_rules import add_rules

UNGUARDED = {
    "executors",
    "held_retries",
    "idempotency_keys",
    "outbox",
    "project_usage",
    "role_bindings",
    "run_events",
    "tokens",
    "user_groups",
}


def add_everything(uow: UnitOfWork) -> None:
    """Put a row into every guarded table."""
    run = a_run()
    others = [a_run(number, state=state) for number, state in enumerate(RunState, 300)]
    add_surroundings(uow)
    add_runs(uow, run, *others)
    add_attempt(uow, run)
    uow.policies.add(
        Policy(
            policy_id=PolicyId(identifier(60)), project_id=PROJECT_ID, name="p", version=1, description="", cedar="",
            digest=digest("p"), state=PolicyState.ACTIVE, created_at=NOW, created_by=WHO,
        )
    )  # fmt: skip
    uow.role_bindings.put(
        RoleBinding(
            binding_id=BindingId(identifier(63)), project_id=PROJECT_ID, subject_type=SubjectType.USER, subject="ann",
            role=Role.ADMIN, created_at=NOW, created_by=WHO,
        )
    )  # fmt: skip
    uow.objects.add(PROJECT_ID, StoredObject(digest=digest("a"), size_bytes=1), NOW)
    uow.quotas.add(a_quota())
    add_checks(uow, run, others[0])
    add_rules(uow, run)
    add_pipelines(uow)


@pytest.fixture(scope="module", params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def filled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[StoredDatabase]:
    """A database with something in every table; whoever attacks it here takes everything back."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('guards') / 'animus.db'}"
    else:
        url = request.getfixturevalue("postgres_server").create("test_guards")
    database = open_database(url)
    write(database, add_everything)
    yield database
    database.close()


@contextmanager
def superuser(database: StoredDatabase) -> Iterator[Connection]:
    """A connection that may do all that the database lets anyone do, past our own code."""
    engine = database._engine
    with engine.connect() as connection, connection.begin() as transaction:
        yield connection
        transaction.rollback()


def refused(database: StoredDatabase, statement: str) -> bool:
    """Tell whether a guard stopped a statement."""
    with superuser(database) as connection:
        try:
            connection.exec_driver_sql(statement)
        except DBAPIError as error:
            if "is refused: what it would change is final" not in str(error.orig):
                raise
            return True
        return False


def test_every_table_is_guarded_or_known_not_to_be() -> None:
    assert set(SCHEMA.tables) == {*WRITTEN_ONCE, *CHANGING, *UNGUARDED}


@pytest.mark.parametrize("table", WRITTEN_ONCE)
def test_row_written_once_cannot_be_updated_deleted_or_replaced(filled: StoredDatabase, table: str) -> None:
    columns = SCHEMA.tables[table].columns.keys()
    assert all(refused(filled, f"UPDATE {table} SET {column} = {column}") for column in columns)
    assert refused(filled, f"DELETE FROM {table}")
    if filled._engine.dialect.name == "sqlite":
        assert refused(filled, f"INSERT OR REPLACE INTO {table} SELECT * FROM {table}")
    else:
        assert refused(filled, f"TRUNCATE {table} CASCADE")
        assert refused(filled, f"SET LOCAL session_replication_role = replica; DELETE FROM {table}")


@pytest.mark.parametrize("table", CHANGING)
def test_row_that_changes_cannot_be_deleted(filled: StoredDatabase, table: str) -> None:
    assert refused(filled, f"DELETE FROM {table}")
    if filled._engine.dialect.name == "postgresql":
        assert refused(filled, f"TRUNCATE {table} CASCADE")


@pytest.mark.parametrize(
    "change",
    [
        "projects SET name = 'other'",
        "projects SET document = '{}'",
        "projects SET project_id = 'x'",
        "runs SET document = '{}'",
        "runs SET created_by = 'user:mallory'",
        "runs SET run_class = 'production'",
        "runs SET platform = 'other'",
        "environments SET document = '{}'",
        "environments SET version = 9",
        "executions SET attempt = 9",
        "executions SET state = 'running'",
        "audit_head SET sequence = sequence - 1",
        "tasks SET document = '{}'",
        "inspections SET document = '{}'",
        "preflights SET inspection_id = 'x'",
        "comparisons SET left_run_id = 'x'",
        "approvals SET run_id = 'x'",
        "approvals SET expires_at = 0",
        "schedules SET document = '{}'",
        "firings SET due_at = 0",
        "pipeline_runs SET document = '{}'",
        "pipeline_runs SET created_by = 'user:mallory'",
        "pipeline_nodes SET document = '{}'",
        "pipeline_nodes SET node = 'x'",
    ],
)
def test_fixed_column_cannot_be_changed(filled: StoredDatabase, change: str) -> None:
    assert refused(filled, f"UPDATE {change}")


@pytest.mark.parametrize("state", RunState)
def test_run_can_be_changed_exactly_until_it_has_ended(filled: StoredDatabase, state: RunState) -> None:
    for change in ("state = 'running'", "progress = '{}'", "version = version + 1"):
        assert refused(filled, f"UPDATE runs SET {change} WHERE state = '{state}'") == (state in TERMINAL_STATES)


def vocabularies() -> list[tuple[str, str]]:
    """Return the columns that take the words of an enum."""
    return [
        (table.name, column.name)
        for table in SCHEMA.tables.values()
        for column in table.columns
        if isinstance(column.type, Word)
    ]


@pytest.mark.parametrize(("table", "column"), [*vocabularies(), ("tokens", "kind")])
def test_word_outside_the_vocabulary_cannot_be_stored(filled: StoredDatabase, table: str, column: str) -> None:
    names = SCHEMA.tables[table].columns.keys()
    values = ", ".join("'no such word'" if name == column else name for name in names)
    with superuser(filled) as connection, pytest.raises(DBAPIError, match=f"ck_{table}_{column}"):
        connection.exec_driver_sql(f"INSERT INTO {table} SELECT {values} FROM {table}")


def test_environment_and_project_may_change_what_changes(database: StoredDatabase) -> None:
    write(database, add_everything)
    assert not refused(database, "UPDATE environments SET state = 'archived'")
    assert not refused(
        database, "UPDATE projects SET description = 'x', labels = '{}', state = 'archived', version = 2"
    )
    archived = changed(database.read(lambda uow: uow.projects.get("alpha")), state=ProjectState.ARCHIVED, version=2)
    assert write(database, lambda uow: uow.projects.compare_and_set(archived, expected_version=1))
