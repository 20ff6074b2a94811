# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A prepared statement binds what it is given, reads what it finds, and refuses what it cannot prepare."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from animus_control.storage.columns import Instant
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.run_tables import runs
from animus_control.storage.tables import SCHEMA, outbox

SQLITE, POSTGRESQL = sqlite.dialect(), postgresql.dialect()


def test_statement_whose_sql_depends_on_its_values_is_refused() -> None:
    query = Prepared(select(runs.c.run_id).where(runs.c.run_id.in_(bindparam("ids", expanding=True))))
    with pytest.raises(TypeError, match="cannot be prepared"):
        query.on(SQLITE)


def test_missing_value_is_an_error_and_a_constant_is_none() -> None:
    query = Prepared(select(runs.c.run_id).where(runs.c.run_id == bindparam("run")).limit(3)).on(SQLITE)
    assert query.bind({"run": "r", "more": "ignored"})[:2] == ["r", 3]
    with pytest.raises(KeyError):
        query.bind({})


def test_insert_leaves_out_what_the_database_numbers() -> None:
    assert "message_id" not in adding(outbox, "message_id").on(SQLITE).sql
    assert "RETURNING" not in adding(outbox, "message_id").on(POSTGRESQL).sql


def test_statement_is_compiled_once_for_each_dialect() -> None:
    query = Prepared(select(runs.c.run_id))
    assert query.on(SQLITE) is query.on(SQLITE)
    assert query.on(SQLITE) is not query.on(POSTGRESQL)


@given(st.datetimes(timezones=st.just(UTC)))
def test_instant_comes_back_to_the_microsecond(instant: datetime) -> None:
    stored = Instant().process_bind_param(instant, SQLITE)
    assert Instant().process_result_value(stored, SQLITE) == instant


@given(st.datetimes(max_value=datetime(9998, 1, 1), timezones=st.just(UTC)))  # noqa: DTZ001 - the zone is the strategy's
def test_stored_instants_sort_like_instants(instant: datetime) -> None:
    later = Instant().process_bind_param(instant + timedelta(microseconds=1), SQLITE)
    earlier = Instant().process_bind_param(instant, SQLITE)
    assert earlier is not None
    assert later == earlier + 1


def test_name_of_every_rule_fits_every_database() -> None:
    names = [str(rule.name) for table in SCHEMA.tables.values() for rule in (*table.constraints, *table.indexes)]
    assert [name for name in names if len(name) > 63] == []
