# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A cursor is the key of the last item of a page, opaque to the caller; any other text is a ValueError."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from typing import TypeVar

from animus_contracts.pages import Page

T = TypeVar("T")


def encode(key: str | int) -> str:
    """Return the cursor of a key."""
    return base64.urlsafe_b64encode(json.dumps(key).encode()).decode().rstrip("=")


def decode_text(cursor: str) -> str:
    """Return the key of a cursor of a list that is ordered by text.

    Raises:
        ValueError: If the text is not such a cursor.
    """
    key = _decode(cursor)
    if not isinstance(key, str) or "\x00" in key:
        raise ValueError("not a cursor of this list")
    return key


def decode_number(cursor: str) -> int:
    """Return the key of a cursor of a list that is ordered by number.

    Raises:
        ValueError: If the text is not such a cursor.
    """
    key = _decode(cursor)
    if type(key) is not int or not 0 <= key < 1 << 63:  # a JSON true is an int to isinstance
        raise ValueError("not a cursor of this list")
    return key


def page_of(items: Sequence[T], keys: Sequence[str | int], limit: int) -> Page[T]:
    """Cut a page out of up to ``limit + 1`` items; the one too many tells that there is another page."""
    more = len(items) > limit
    return Page(items=list(items[:limit]), next_cursor=encode(keys[limit - 1]) if more else None)


def _decode(cursor: str) -> object:
    try:
        content = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return json.loads(content)
    except (binascii.Error, UnicodeError, ValueError, RecursionError) as error:
        raise ValueError("not a cursor") from error
