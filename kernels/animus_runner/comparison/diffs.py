# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a cell that differs: nbdime's diff of the two cells, cut before and after to what is read."""

from __future__ import annotations

import io
from itertools import zip_longest
from typing import Any

from animus_contracts.digests import digest_bytes
from animus_runner.comparison.normalisation import Cell
from animus_runner.comparison.texts import shared_lines

MAX_TEXT = 1 << 10
"""How much of one text is diffed: nbdime's time grows with more than the square of it."""

MAX_OUTPUTS = 1000
MAX_DIFFERING = 3
MAX_FORMS = 20
MAX_DIFF = 8 << 10
CONTEXT = 200


def cell_diff(left: Cell | None, right: Cell | None) -> str:
    """Return the diff of two cells as plain text; bounded, because outputs are anybody's."""
    import nbdime  # noqa: PLC0415 - a second of work that only a difference is worth
    from nbdime.prettyprint import PrettyPrintConfig, pretty_print_diff  # noqa: PLC0415

    told = io.StringIO()
    settings = PrettyPrintConfig(out=told, use_git=False, use_diff=False, use_color=False)
    ours, theirs = _shown(left, right)
    differing = [name for name, mine in ours.items() if mine != theirs[name]]
    for name in differing[:MAX_DIFFERING]:
        pretty_print_diff(ours[name], nbdime.diff(ours[name], theirs[name]), f"/{name}", settings)
    if len(differing) > MAX_DIFFERING:
        told.write(f"[and {len(differing) - MAX_DIFFERING} more differ]")
    text = told.getvalue().strip("\n")
    return text if len(text) <= MAX_DIFF else f"{text[:MAX_DIFF]}\n[the diff goes on]"


def _shown(left: Cell | None, right: Cell | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return source and outputs of both cells by name, without what is alike at the beginning of long texts.

    The first output of one cell belongs to the first of the other: nbdime would pair them by how much they look alike.
    """
    sides: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    sources = [{"source": cell.source} if cell else {} for cell in (left, right)]
    outputs = [cell.outputs[:MAX_OUTPUTS] if cell else [] for cell in (left, right)]
    pairs = {"cell": tuple(sources)} | {
        f"outputs/{place}": pair for place, pair in enumerate(zip_longest(*outputs, fillvalue={}))
    }
    for name, pair in pairs.items():
        shown = _from_the_difference(*pair)
        sides[0][name], sides[1][name] = shown
    return sides


def _from_the_difference(ours: dict[str, Any], theirs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return two outputs with every text cut to the part around the first difference."""
    shown: tuple[dict[str, Any], dict[str, Any]] = ({}, {})
    for name in [*ours, *(name for name in theirs if name not in ours)][:MAX_FORMS]:
        mine, other = ours.get(name), theirs.get(name)
        if isinstance(mine, dict) and isinstance(other, dict):
            shown[0][name], shown[1][name] = _from_the_difference(mine, other)
            continue
        texts = [_text(name, value) for value in (mine, other)]
        start = max(0, shared_lines(*texts) - CONTEXT)
        for side, is_there, text in zip(shown, (name in ours, name in theirs), texts, strict=True):
            if is_there:
                side[name] = text[start : start + MAX_TEXT]
    return shown


def _text(name: str, value: Any) -> str:
    """Return a value as text: a traceback as its lines, data as all its forms, a picture as its digest."""
    if isinstance(value, list):
        return "\n".join(map(str, value))
    if isinstance(value, dict):
        return "\n".join(f"{kind}: {_text(kind, text)}" for kind, text in value.items())
    if name.startswith("image/") and name != "image/svg+xml":
        return f"a picture, {digest_bytes(str(value).encode())}"
    return "" if value is None else str(value)
