# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON: one value, one sequence of bytes; different values, different bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.digests import DIGEST, NotCanonicalError, canonical, digest_of, typed

SAFE = 2**53 - 1
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
scalars = (
    st.none() | st.booleans() | st.integers(-SAFE, SAFE) | st.floats(allow_nan=False, allow_infinity=False) | texts
)
plain = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=12,
)


def same(left: Any, right: Any) -> bool:
    """Compare as JSON with types does: ``1`` is neither ``1.0`` nor ``true``."""
    if type(left) is not type(right):
        return False
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(repr(left) == repr(right)) if isinstance(left, float) else bool(left == right)


@given(plain)
def test_canonical_bytes_are_those_of_rfc_8785(value: Any) -> None:
    assert canonical(value) == rfc8785.dumps(value)


@given(plain)
def test_canonical_bytes_are_json_and_reading_them_changes_nothing(value: Any) -> None:
    once = canonical(value)

    assert canonical(json.loads(once, parse_int=float)) == once  # every number of JCS is a double


@given(st.dictionaries(texts, scalars, min_size=2, max_size=6), st.randoms())
def test_order_of_keys_does_not_matter(value: dict[str, Any], random: Any) -> None:
    keys = list(value)
    random.shuffle(keys)

    assert canonical({key: value[key] for key in keys}) == canonical(value)


@given(anything)
def test_typed_value_is_canonical_at_any_size(value: Any) -> None:
    assert DIGEST.fullmatch(digest_of(typed(value)))


@given(anything, anything)
def test_two_values_share_a_digest_exactly_when_they_are_the_same(left: Any, right: Any) -> None:
    assert (digest_of(typed(left)) == digest_of(typed(right))) == same(left, right)


@pytest.mark.parametrize(
    ("left", "right"),
    [(1, 1.0), (1, True), (0, False), (1, "1"), (None, ""), (None, "null"), (2**63, 2**63 + 1), (0.0, -0.0),
     ([], {}), ([1, 2], [[1], 2]), ("é", "e\u0301"), (10**400, 10**400 + 1)],
)  # fmt: skip
def test_values_that_look_alike_stay_apart(left: Any, right: Any) -> None:
    assert digest_of(typed(left)) != digest_of(typed(right))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), {1: 2}, {"a": b"x"}, object(), {1, 2}])
def test_value_outside_json_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonicalError):
        digest_of(typed(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, -(2**60), object(), "\ud800"])
def test_value_without_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(NotCanonicalError):
        canonical(value)


def test_a_version_keeps_equal_structures_of_different_meaning_apart() -> None:
    assert len({digest_of({"a": 1}), digest_of({"a": 1}, version="x"), digest_of({"a": 1}, version="y")}) == 3


def test_every_control_character_is_escaped_as_rfc_8785_says() -> None:
    for code in range(0x300):
        assert canonical(chr(code)) == rfc8785.dumps(chr(code))
