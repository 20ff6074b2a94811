# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A list is read page by page; a cursor this server did not give is the caller's mistake, not ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from animus_contracts.pages import ListQuery, Page
from animus_control.domain.errors import InvalidError

T = TypeVar("T")


def paged(fetch: Callable[..., Page[T]], query: ListQuery, *args: Any, **fields: Any) -> Page[T]:
    """Read the page a query asks for.

    Args:
        fetch: Reads a page given ``args``, ``limit``, ``cursor`` and ``fields``; raises ValueError on a bad cursor.
        query: Which page.
        args: Positional arguments of ``fetch``.
        fields: Filters.

    Raises:
        InvalidError: ``invalid_query`` when the cursor is not one of ours.
    """
    try:
        return fetch(*args, limit=query.limit, cursor=query.cursor, **fields)
    except ValueError as error:
        remedy = "Start again without a cursor."
        raise InvalidError("invalid_query", "The cursor is not one this server gave.", remedy=remedy) from error
