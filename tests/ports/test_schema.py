# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A migrated database has exactly the tables the code knows, and every list has the index it needs."""

from __future__ import annotations

from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from animus_control.storage.database import StoredDatabase
from animus_control.storage.engine import build_engines, migrate, open_database
from animus_control.storage.tables import SCHEMA
from tests.ports.schema_text import DIALECTS, path, schema_text


@pytest.mark.parametrize("dialect", DIALECTS)
def test_first_migration_is_the_schema_of_the_code(dialect: str) -> None:
    assert path(dialect).read_text() == schema_text(dialect)


def test_migrated_database_does_not_differ_from_the_tables_of_the_code(database: StoredDatabase) -> None:
    engine = database._engine
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), SCHEMA) == []


def test_migrating_again_changes_nothing(database_url: str) -> None:
    engine = build_engines(database_url).writer
    migrate(engine)
    migrate(engine)
    engine.dispose()


def test_empty_database_is_migrated_when_it_is_opened(tmp_path: Any) -> None:
    database = open_database(f"sqlite:///{tmp_path / 'new.db'}")
    assert database.read(lambda uow: uow.projects.get("none")) is None
    database.close()


def plan_of(database: StoredDatabase, statement: str) -> str:
    """Return how SQLite would execute a statement."""
    engine = database._reader
    with engine.connect() as connection:
        rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}")
        return "; ".join(row.detail for row in rows)


READY = "state = 'queued' AND held_until IS NULL"
P = "project_id = 'p'"


@pytest.mark.parametrize(
    ("statement", "index"),
    [
        (
            f"runs WHERE {READY} AND platform = 'l' AND {P} AND shape = 's' ORDER BY priority DESC, queued_at, run_id",
            "ix_runs_queue",
        ),
        ("runs WHERE state = 'queued' AND held_until IS NOT NULL AND held_until <= 5", "ix_runs_held"),
        (
            "runs WHERE state IN ('dispatching', 'running', 'unknown', 'reconciling') AND platform = 'l'",
            "ix_runs_in_use",
        ),
        (
            f"runs WHERE {P} AND state IN ('dispatching', 'running', 'unknown', 'reconciling')",
            "ix_runs_project_id_state_run_id",
        ),
        ("runs WHERE due_at IS NOT NULL AND due_at <= 5 ORDER BY due_at", "ix_runs_due"),
        (
            "executions WHERE state IN ('leased', 'running') AND cancel_requested AND executor = 'e'",
            "ix_executions_canceling",
        ),
        (f"runs WHERE {P} AND run_id < 'r' ORDER BY run_id DESC", "sqlite_autoindex_runs_1"),
        (f"runs WHERE {P} AND state = 's' AND run_id < 'r' ORDER BY run_id DESC", "ix_runs_project_id_state_run_id"),
        (
            f"runs WHERE {P} AND created_by = 's' AND run_id < 'r' ORDER BY run_id DESC",
            "ix_runs_project_id_created_by_run_id",
        ),
        (
            f"artifacts WHERE {P} AND run_id = 'r' ORDER BY artifact_id DESC",
            "ix_artifacts_project_id_run_id_artifact_id",
        ),
        (f"metrics WHERE {P} AND run_id = 'r' AND sequence > 3 ORDER BY sequence", "sqlite_autoindex_metrics_1"),
        ("run_events WHERE run_id = 'r' AND event_id > 3 ORDER BY event_id", "ix_run_events_run_id_event_id"),
        (
            f"run_events WHERE {P} AND type = 't' AND event_id > 3 ORDER BY event_id",
            "ix_run_events_project_id_type_event_id",
        ),
        (f"audit_events WHERE {P} AND sequence > 3 ORDER BY sequence", "ix_audit_events_project_id_sequence"),
        (
            f"audit_events WHERE {P} AND resource = 'r' AND sequence > 3 ORDER BY sequence",
            "ix_audit_events_project_id_resource_sequence",
        ),
        ("audit_events WHERE sequence > 3 ORDER BY sequence", "INTEGER PRIMARY KEY"),
        (
            "executions WHERE state IN ('leased', 'running') AND lease_expires_at < 5 ORDER BY lease_expires_at",
            "ix_executions_leases",
        ),
        (
            "role_bindings WHERE subject_type = 'user' AND subject = 'a' OR subject_type = 'group' AND subject = 'b'",
            "ix_role_bindings_subject_type_subject_project_id",
        ),
        (
            f"environments WHERE {P} AND name = 'n' ORDER BY version DESC LIMIT 1",
            "sqlite_autoindex_environments_2",
        ),
    ],
    ids=lambda value: value.split(" ", maxsplit=1)[0],
)
def test_query_walks_its_index_and_sorts_nothing(sqlite_url: str, statement: str, index: str) -> None:
    database = open_database(sqlite_url)
    plan = plan_of(database, f"SELECT 1 FROM {statement}")  # noqa: S608 - constants of this test
    database.close()
    assert "SCAN" not in plan
    assert "TEMP B-TREE" not in plan
    assert index in plan
