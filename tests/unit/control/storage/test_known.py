# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is remembered stays small, and is forgotten with its table."""

from __future__ import annotations

import importlib
import pkgutil
import re

import pytest
from sqlalchemy import Select, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from animus_control.storage import repositories
from animus_control.storage.known import MOST_CHARACTERS, MOST_KNOWN, Known
from animus_control.storage.prepared import Prepared
from animus_control.storage.run_tables import runs
from animus_control.storage.tables import SCHEMA, projects

RUN_STATEMENT = select(runs.c.state).where(runs.c.run_id == bindparam("run"))
RUN = Prepared(RUN_STATEMENT).on(sqlite.dialect())
PROJECT = Prepared(select(projects.c.state).where(projects.c.project_id == bindparam("project"))).on(sqlite.dialect())
BOTH = Prepared(select(runs.c.state, projects.c.name).where(runs.c.project_id == projects.c.project_id)).on(
    sqlite.dialect()
)


def test_answer_is_known_for_the_same_query_and_values_alone() -> None:
    known = Known()
    known.put(RUN, ["1"], ["row"], characters=1)
    assert known.get(RUN, ["1"]) == ["row"]
    assert known.get(RUN, ["2"]) is None
    assert known.get(PROJECT, ["1"]) is None


def test_values_by_name_are_told_apart_like_values_by_place() -> None:
    query = Prepared(RUN_STATEMENT).on(postgresql.dialect())
    known = Known()
    known.put(query, {"run": "1"}, ["row"], characters=1)
    assert known.get(query, {"run": "1"}) == ["row"]
    assert known.get(query, {"run": "2"}) is None


def test_nothing_found_is_an_answer() -> None:
    known = Known()
    known.put(RUN, ["1"], [], characters=0)
    assert known.get(RUN, ["1"]) == []


def test_change_of_a_table_forgets_what_was_read_of_it_alone() -> None:
    known = Known()
    known.put(RUN, ["1"], ["run"], characters=1)
    known.put(PROJECT, ["1"], ["project"], characters=1)
    known.change("runs")
    assert known.get(RUN, ["1"]) is None
    assert known.get(PROJECT, ["1"]) == ["project"]


def test_query_of_several_tables_is_not_remembered() -> None:
    known = Known()
    known.put(BOTH, [], ["row"], characters=1)
    assert known.get(BOTH, []) is None


def test_long_answer_is_not_remembered() -> None:
    known = Known()
    known.put(RUN, ["1"], ["row"], characters=MOST_CHARACTERS + 1)
    assert known.get(RUN, ["1"]) is None


def test_so_many_answers_are_remembered_and_no_more() -> None:
    known = Known()
    for number in range(3 * MOST_KNOWN):
        known.put(RUN, [number], ["row"], characters=1)
    assert 0 < sum(known.get(RUN, [number]) is not None for number in range(3 * MOST_KNOWN)) <= MOST_KNOWN


def prepared_queries() -> dict[str, Prepared]:
    """Return every query that a repository has prepared under a name."""
    modules = [
        importlib.import_module(f"{repositories.__name__}.{found.name}")
        for found in pkgutil.iter_modules(repositories.__path__)
    ]
    return {
        f"{module.__name__.rpartition('.')[2]}.{name}": value
        for module in modules
        for name, value in vars(module).items()
        if isinstance(value, Prepared) and isinstance(value.statement, Select)
    }


@pytest.mark.parametrize("name", prepared_queries())
def test_query_that_may_be_remembered_depends_on_the_rows_of_one_table_alone(name: str) -> None:
    query = prepared_queries()[name].on(sqlite.dialect())
    read = set(re.findall(r"(?:FROM|JOIN|,)\s+\"?([a-z_]+)", query.sql)) & set(SCHEMA.tables)
    assert query.table == (read.pop() if len(read) == 1 else "")
    assert not re.search(r"(?i)current_|now\(|clock|julian|strftime|unixepoch|random", query.sql)
