# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Rows that wait are found by who might look for them, and written in an order that suits their references."""

from __future__ import annotations

from typing import Any

from sqlalchemy import bindparam, func, select
from sqlalchemy.dialects import sqlite

from animus_contracts.artifacts import Metric
from animus_contracts.datasets import Dataset
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.repositories.records import Layout
from animus_control.storage.run_tables import metrics, runs
from animus_control.storage.tables import SCHEMA, datasets, outbox, projects
from animus_control.storage.transaction import Waiting

DIALECT = sqlite.dialect()
ADDING = {name: adding(table).on(DIALECT) for name, table in SCHEMA.tables.items()}
OUTBOX = adding(outbox, "message_id").on(DIALECT)
MESSAGE = {"topic": "t", "key": "k", "payload": {}}
BY_KEY = Prepared(select(projects.c.name).where(projects.c.project_id == bindparam("id")), key=("id",)).on(DIALECT)
BY_NAME = Prepared(select(projects.c.name).where(projects.c.name == bindparam("id"))).on(DIALECT)
OF_BOTH = Prepared(select(projects.c.name, runs.c.run_id)).on(DIALECT)
OF_ITSELF = Prepared(select(projects.c.name).where(projects.c.version.in_(select(func.max(projects.c.version))))).on(
    DIALECT
)


class Recorder:
    """A cursor that writes down which table got how many rows."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def execute(self, sql: str, _row: Any) -> None:
        self.seen.append((sql.split()[2], 1))

    def executemany(self, sql: str, rows: list[Any]) -> None:
        self.seen.append((sql.split()[2], len(rows)))


def a_project(project_id: str) -> dict[str, Any]:
    return dict.fromkeys(projects.c.keys()) | {"project_id": project_id}


def test_row_concerns_who_looks_for_its_key_or_might_find_it_otherwise() -> None:
    waiting = Waiting()
    waiting.add(ADDING["projects"], a_project("1"))
    assert waiting.concern(BY_KEY, {"id": "1"})
    assert not waiting.concern(BY_KEY, {"id": "2"})
    assert waiting.concern(BY_NAME, {"id": "2"})
    assert waiting.concern(OF_BOTH, {})
    assert waiting.concern(OF_ITSELF, {})


def test_nothing_that_waits_concerns_nobody() -> None:
    assert not Waiting().concern(OF_BOTH, {})
    assert not Waiting().concern(BY_NAME, {"id": "1"})


def test_query_of_one_table_twice_is_a_query_of_one_table() -> None:
    assert (OF_ITSELF.table, BY_KEY.table, OF_BOTH.table, ADDING["runs"].table) == ("projects", "projects", "", "runs")


def test_every_table_is_written_after_all_that_it_refers_to() -> None:
    waiting, cursor = Waiting(), Recorder()
    for table in reversed(SCHEMA.sorted_tables):
        waiting._rows[ADDING[table.name]] = [[]]
    waiting.write(cursor)
    order = [name for name, _ in cursor.seen]
    references = [(table.name, key.column.table.name) for table in SCHEMA.tables.values() for key in table.foreign_keys]
    assert sorted(order) == sorted(SCHEMA.tables)
    assert [(child, parent) for child, parent in references if order.index(child) < order.index(parent)] == []


def test_rows_of_one_table_are_written_together_and_once() -> None:
    waiting, later, cursor = Waiting(), Waiting(), Recorder()
    for rows in (waiting, waiting, later):
        rows.add(OUTBOX, MESSAGE | {"at": None})
    waiting.extend(later)
    waiting.write(cursor)
    waiting.write(cursor)
    assert cursor.seen == [("outbox", 3)]
    assert not waiting


def test_query_counts_as_one_for_a_key_only_when_it_names_the_whole_key() -> None:
    of_part = Layout[Metric](metrics)
    assert Layout[Dataset](datasets).find(("dataset_id",)).key == ("project_id", "dataset_id")
    assert Layout[Dataset](datasets).find(("name",)).key == ()
    assert of_part.find(("sequence",)).key == ()
