# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""JSON compared value by value: the order of members is no difference, a number's type is one.

A loop, not a recursion: how deep a value is was the user's choice.
"""

from __future__ import annotations

from typing import Any

from animus_contracts.comparisons import Tolerances
from animus_runner.comparison.findings import Closeness, Finding

MAX_SHOWN = 60


def compare_trees(left: Any, right: Any, tolerances: Tolerances) -> Finding:
    """Compare two decoded JSON values that are not written alike."""
    closeness = Closeness(tolerances)
    compare_values(left, right, "$", closeness)
    return closeness.finding()


def compare_values(left: Any, right: Any, where: str, closeness: Closeness) -> None:
    """Compare two values made of dictionaries, lists and what they hold, until one differs."""
    todo: list[tuple[Any, Any, str]] = [(left, right, where)]
    while todo and closeness.is_within:
        ours, theirs, where = todo.pop()
        if isinstance(ours, float) and isinstance(theirs, float):
            closeness.compare(ours, theirs, where)
        elif type(ours) is not type(theirs):
            closeness.refuse(f"{where}: {_shown(ours)} and {_shown(theirs)}")
        elif isinstance(ours, dict):
            todo += _members(ours, theirs, where, closeness)
        elif isinstance(ours, list):
            todo += _items(ours, theirs, where, closeness)
        elif ours != theirs:
            closeness.refuse(f"{where}: {_shown(ours)} and {_shown(theirs)}")


def _members(
    ours: dict[str, Any], theirs: dict[str, Any], where: str, closeness: Closeness
) -> list[tuple[Any, Any, str]]:
    if lonely := sorted(ours.keys() ^ theirs.keys()):
        closeness.refuse(f"{where}: only one has {lonely[0][:MAX_SHOWN]!r}")
        return []
    return [(ours[name], theirs[name], f"{where}.{name[:MAX_SHOWN]}"[-200:]) for name in sorted(ours, reverse=True)]


def _items(ours: list[Any], theirs: list[Any], where: str, closeness: Closeness) -> list[tuple[Any, Any, str]]:
    if len(ours) != len(theirs):
        closeness.refuse(f"{where}: {len(ours)} items and {len(theirs)}")
        return []
    pairs = [
        (one, other, f"{where}[{place}]"[-200:]) for place, (one, other) in enumerate(zip(ours, theirs, strict=True))
    ]
    return pairs[::-1]


def _shown(value: Any) -> str:
    text = (
        f"{len(value)} {'members' if isinstance(value, dict) else 'items'}"
        if isinstance(value, dict | list)
        else repr(value)
    )
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}…"
