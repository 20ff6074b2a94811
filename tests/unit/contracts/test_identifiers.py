# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Identifiers are UUIDv7 that sort by time, and names obey the strictest place they are used in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.identifiers import PROJECT_NAME, RANDOM_BYTES, uuid7

instants = st.datetimes(datetime(1970, 1, 2), datetime(2500, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds
randomness = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)


@given(instants, randomness)
def test_identifier_is_a_version_7_uuid(now: datetime, random: bytes) -> None:
    identifier = UUID(uuid7(now, random))

    assert (identifier.version, identifier.variant) == (7, "specified in RFC 4122")
    assert identifier.int >> 80 == int(now.timestamp() * 1000)


@given(instants, randomness, randomness)
def test_later_identifier_sorts_after_an_earlier_one(now: datetime, first: bytes, second: bytes) -> None:
    assert uuid7(now, first) < uuid7(now + timedelta(milliseconds=2), second)


@pytest.mark.parametrize("length", [0, RANDOM_BYTES - 1, RANDOM_BYTES + 1])
def test_wrong_amount_of_randomness_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match="random bytes"):
        uuid7(datetime(2026, 1, 1, tzinfo=UTC), b"x" * length)


@pytest.mark.parametrize("name", ["abc", "a1b", "wine-quality", "a-1-b", "a" * 30])
def test_name_fit_for_url_server_and_group_is_a_project_name(name: str) -> None:
    assert PROJECT_NAME.fullmatch(name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "Abc",
        "1ab",
        "-ab",
        "ab-",
        "a--b",
        "a_b",
        "a.b",
        "a b",
        "ä-bc",
        "a" * 31,
        "abc\n",
        "a/b",
        "a:b",
        "a:admin",
    ],
)
def test_name_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    assert not PROJECT_NAME.fullmatch(name)
