# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A cursor leads back to its key, and nothing else is one."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_control.storage.cursors import decode_number, decode_text, encode, page_of


@given(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])))
def test_text_comes_back(key: str) -> None:
    assert decode_text(encode(key)) == key


@given(st.integers(0, 2**63 - 1))
def test_number_comes_back(key: int) -> None:
    assert decode_number(encode(key)) == key


@given(st.text() | st.binary().map(lambda value: value.decode("latin-1")))
def test_any_other_text_is_a_value_error_or_a_key(cursor: str) -> None:
    for decode, kind in ((decode_text, str), (decode_number, int)):
        try:
            assert isinstance(decode(cursor), kind)
        except ValueError:
            continue


@pytest.mark.parametrize("key", ["1", -1, 1 << 63, True], ids=str)
def test_key_of_another_list_is_refused(key: Any) -> None:
    with pytest.raises(ValueError, match="cursor"):
        decode_number(encode(key))


@pytest.mark.parametrize(("found", "items", "more"), [(0, 0, False), (1, 1, False), (2, 2, False), (3, 2, True)])
def test_page_has_a_cursor_exactly_when_there_is_more(found: int, items: int, more: bool) -> None:
    page = page_of(range(found), list(range(found)), 2)
    assert (page.items, page.next_cursor) == (list(range(items)), encode(1) if more else None)
