# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every way a request can be malformed has its code and its place."""

from __future__ import annotations

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.pages import AuditListQuery, EventsQuery, LineageQuery, ListQuery, RunListQuery
from animus_contracts.runs import RunState
from animus_control.api import parsing
from animus_control.domain.errors import InvalidError


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: int = 0


class Message(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    inner: Inner = Inner()
    free: dict[str, Any] = {}
    items: list[Inner] = []


parse = parsing.body_parser(Message)

FAULTS = {
    "empty": (b"", "invalid_json", None),
    "not json": (b"{", "invalid_json", None),
    "trailing data": (b'{"name":"a"} {}', "invalid_json", None),
    "trailing comma": (b'{"name":"a",}', "invalid_json", None),
    "comment": (b'{"name":"a"} // x', "invalid_json", None),
    "NaN": (b'{"name":"a","free":{"x":NaN}}', "invalid_json", None),
    "byte order mark": (b'\xef\xbb\xbf{"name":"a"}', "invalid_json", None),
    "not utf-8": (b'{"name":"\xff"}', "invalid_json", None),
    "half a surrogate pair": (b'{"name":"\\ud800"}', "invalid_json", None),
    "wrong root": (b"[]", "invalid_request", "$"),
    "missing member": (b"{}", "invalid_request", "$"),
    "unknown member": (b'{"name":"a","state":"done"}', "invalid_request", "$"),
    "unknown member inside": (b'{"name":"a","inner":{"x":1}}', "invalid_request", "$.inner"),
    "wrong type": (b'{"name":1}', "invalid_request", "$.name"),
    "wrong type inside": (b'{"name":"a","inner":{"count":"1"}}', "invalid_request", "$.inner.count"),
    "wrong type in a list": (b'{"name":"a","items":[{},{"count":1.5}]}', "invalid_request", "$.items[1].count"),
    "number out of range": (b'{"name":"a","free":{"x":1e999}}', "invalid_request", "$.free[...]"),
    "duplicate member": (b'{"name":"a","name":"b"}', "invalid_request", "$..name"),
    "duplicate member inside": (b'{"name":"a","free":{"k":{"x":1,"x":1}}}', "invalid_request", "$..x"),
    "NUL in a value": (b'{"name":"a\\u0000"}', "invalid_request", "$.name"),
    "NUL deep inside": (b'{"name":"a","free":{"k":["\\u0000"]}}', "invalid_request", "$.free.k[0]"),
}


@pytest.mark.parametrize(("body", "code", "path"), FAULTS.values(), ids=FAULTS)
def test_a_malformed_body_is_refused_with_code_and_place(body: bytes, code: str, path: str | None) -> None:
    with pytest.raises(InvalidError) as refusal:
        parse(body)
    assert refusal.value.code == code
    assert [fault.path for fault in refusal.value.faults] == ([path] if path else [])


def test_a_well_formed_body_becomes_its_message() -> None:
    body = b'{"name":"\\\\u0000 [[[","free":{"n":123456789012345678901234567890},"items":[{"count":2}]}'
    expected = Message(name="\\u0000 [[[", free={"n": 123456789012345678901234567890}, items=[Inner(2)])
    assert parse(body) == expected


def test_an_integer_of_five_thousand_digits_is_a_number_like_any_other_or_refused() -> None:
    with pytest.raises(InvalidError) as refusal:
        parsing.body_parser(Inner)(b'{"count":' + b"9" * 5000 + b"}")
    assert refusal.value.code == "invalid_request"


@pytest.mark.parametrize("bracket", [b"[", b'{"a":', b'[{"a":'])
def test_a_body_of_ten_thousand_levels_is_refused_before_it_is_decoded(bracket: bytes) -> None:
    started = time.perf_counter()
    with pytest.raises(InvalidError) as refusal:
        parse(b'{"name":"a","free":{"k":' + bracket * 10_000)
    assert refusal.value.code == "body_too_deep"
    assert time.perf_counter() - started < 1


def test_brackets_in_strings_and_beside_each_other_are_no_depth() -> None:
    flat = {"name": "[{" * 200 + '\\"[[[[', "free": {str(index): [[]] for index in range(500)}}
    assert parse(json.dumps(flat).encode()).name == flat["name"]


@given(st.integers(min_value=1, max_value=60))
def test_exactly_the_allowed_depth_passes(depth: int) -> None:
    body = b'{"name":"a","free":{"k":' + b"[" * depth + b"]" * depth + b"}}"
    if depth + 2 <= parsing.MAX_DEPTH:
        parse(body)
    else:
        with pytest.raises(InvalidError, match="nested"):
            parse(body)


@given(
    st.recursive(st.none() | st.booleans() | st.text(), lambda item: st.lists(item) | st.dictionaries(st.text(), item))
)
def test_whatever_json_arrives_is_understood_exactly(value: Any) -> None:
    body = json.dumps({"name": "a", "free": {"value": value}}).encode()
    if "\\u0000" in body.decode() or body.count(b"[") + body.count(b"{") > parsing.MAX_DEPTH:
        return  # these have tests of their own
    assert parse(body).free == {"value": value}


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b" {} "])
def test_an_operation_without_a_message_takes_nothing_or_an_empty_object(body: bytes) -> None:
    assert parsing.body_parser(None)(body) is None


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"reason":"x"}', b"{}{}"])
def test_an_operation_without_a_message_takes_nothing_else(body: bytes) -> None:
    with pytest.raises(InvalidError):
        parsing.body_parser(None)(body)


GOOD_QUERIES = {
    "nothing": (ListQuery, {}, ListQuery()),
    "limit": (ListQuery, {"limit": [b"200"], "cursor": [b"abc"]}, ListQuery(limit=200, cursor="abc")),
    "state": (RunListQuery, {"state": [b"queued"]}, RunListQuery(state=RunState.QUEUED)),
    "after": (EventsQuery, {"after": [b"7"]}, EventsQuery(after=7)),
    "no query type": (None, {}, None),
}


@pytest.mark.parametrize(("kind", "given_values", "expected"), GOOD_QUERIES.values(), ids=GOOD_QUERIES)
def test_a_query_becomes_its_message(kind: Any, given_values: dict[str, list[bytes]], expected: Any) -> None:
    assert parsing.parse_query(kind, given_values) == expected


BAD_QUERIES = {
    "limit too small": (ListQuery, {"limit": [b"0"]}),
    "limit too large": (ListQuery, {"limit": [b"1000000000"]}),
    "limit not a number": (ListQuery, {"limit": [b"many"]}),
    "unknown": (ListQuery, {"offset": [b"1"]}),
    "twice": (ListQuery, {"limit": [b"1", b"2"]}),
    "not utf-8": (AuditListQuery, {"actor": [b"\xff"]}),
    "NUL": (AuditListQuery, {"actor": [b"a\0"]}),
    "unknown state": (RunListQuery, {"state": [b"done"]}),
    "missing": (LineageQuery, {}),
    "too deep": (LineageQuery, {"root": [b"run:1"], "depth": [b"6"]}),
    "negative": (EventsQuery, {"after": [b"-1"]}),
    "none is taken": (None, {"limit": [b"1"]}),
}


@pytest.mark.parametrize(("kind", "given_values"), BAD_QUERIES.values(), ids=BAD_QUERIES)
def test_a_malformed_query_is_an_invalid_query(kind: Any, given_values: dict[str, list[bytes]]) -> None:
    with pytest.raises(InvalidError) as refusal:
        parsing.parse_query(kind, given_values)
    assert refusal.value.code == "invalid_query"


@pytest.mark.parametrize(("header", "version"), [(None, None), ('"3"', 3), (' "12" ', 12)])
def test_if_match_names_a_version(header: str | None, version: int | None) -> None:
    assert parsing.parse_if_match(header) == version


@pytest.mark.parametrize("header", ["3", 'W/"3"', "*", '"3", "4"', '""', '"x"', '"' + "9" * 30 + '"'])
def test_an_if_match_no_version_can_match_is_a_failed_precondition(header: str) -> None:
    with pytest.raises(InvalidError) as refusal:
        parsing.parse_if_match(header)
    assert refusal.value.code == "precondition_failed"


@pytest.mark.parametrize("header", [None, "", "a b", "ä", "k" * 256, "a\n"])
def test_an_unusable_idempotency_key_is_no_key(header: str | None) -> None:
    with pytest.raises(InvalidError) as refusal:
        parsing.parse_idempotency_key(header)
    assert refusal.value.code == "idempotency_key_required"


@pytest.mark.parametrize(
    ("header", "good"),
    [("a" * 8, True), ("A-b_c.9-0", True), ("short", False), ("a" * 129, False), ("a b c d e f", False)],
)
def test_a_request_id_is_taken_over_only_when_it_is_harmless(header: str, good: bool) -> None:
    assert parsing.is_request_id(header) is good
