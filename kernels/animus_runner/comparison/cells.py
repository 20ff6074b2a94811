# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The outputs of two executed notebooks compared cell by cell.

Cells are paired by their ids, or by their code where a notebook has no ids of its own; a cell without a partner is a
difference.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import zip_longest
from typing import Any

from animus_contracts.comparisons import Match, Tolerances
from animus_runner.comparison.findings import IDENTICAL, Finding, different, incomparable, worst
from animus_runner.comparison.normalisation import Cell
from animus_runner.comparison.pictures import compare_png
from animus_runner.comparison.texts import compare_texts
from animus_runner.comparison.trees import compare_trees

MAX_CELLS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two cells that belong together, one of them perhaps None, and how alike their outputs are."""

    left: Cell | None
    right: Cell | None
    finding: Finding

    @property
    def cell(self) -> Cell:
        """The left cell, or the right one where there is no left one."""
        cell = self.left or self.right
        if cell is None:
            raise RuntimeError("a pair of no cells")
        return cell


def compare_cells(left: list[Cell], right: list[Cell], tolerances: Tolerances) -> list[Pair]:
    """Compare two lists of cells; at most :data:`MAX_CELLS` of each are looked at."""
    return [
        Pair(left=ours, right=theirs, finding=_compare(ours, theirs, tolerances))
        for ours, theirs in _paired(left[:MAX_CELLS], right[:MAX_CELLS])
    ]


def _paired(left: list[Cell], right: list[Cell]) -> Iterator[tuple[Cell | None, Cell | None]]:
    if [cell.source for cell in left] == [cell.source for cell in right]:
        yield from zip(left, right, strict=True)
        return
    shared = {cell.cell_id for cell in left} & {cell.cell_id for cell in right} - {""}
    ours, theirs = (
        [cell.cell_id if cell.cell_id in shared else cell.source for cell in side] for side in (left, right)
    )
    for _, start, end, other_start, other_end in SequenceMatcher(None, ours, theirs).get_opcodes():
        yield from zip_longest(left[start:end], right[other_start:other_end])


def _compare(left: Cell | None, right: Cell | None, tolerances: Tolerances) -> Finding:
    if left is None or right is None:
        there = left or right
        if there and not there.outputs:
            return IDENTICAL
        return different(f"only the {'left' if left else 'right'} notebook has the cell")
    try:
        return _compare_lists(left.outputs, right.outputs, tolerances)
    except (MemoryError, RecursionError) as error:
        return incomparable(f"too large or too deep to be compared ({type(error).__name__})")


def _compare_lists(left: list[dict[str, Any]], right: list[dict[str, Any]], tolerances: Tolerances) -> Finding:
    if left == right:
        return IDENTICAL
    if len(left) != len(right):
        return different(f"{len(left)} outputs and {len(right)}")
    pairs = zip(left, right, strict=True)
    return worst(_compare_outputs(ours, theirs, tolerances) for ours, theirs in pairs)


def _compare_outputs(left: dict[str, Any], right: dict[str, Any], tolerances: Tolerances) -> Finding:
    if left == right:
        return IDENTICAL
    if left["output_type"] != right["output_type"] or left.get("name") != right.get("name"):
        return different(f"{_kind(left)} and {_kind(right)}")
    if left["output_type"] == "stream":
        return compare_texts(left["text"], right["text"], tolerances)
    if left["output_type"] == "error":
        return compare_texts(_error_text(left), _error_text(right), tolerances)
    data, other = left["data"], right["data"]
    if data.keys() != other.keys():
        return different(f"shown as {', '.join(data)} and as {', '.join(other)}"[:200])
    return worst(_compare_data(kind, data[kind], other[kind], tolerances) for kind in data)


def _compare_data(kind: str, left: str, right: str, tolerances: Tolerances) -> Finding:
    if left == right:
        return IDENTICAL
    if kind == "image/png":
        try:
            return compare_png(base64.b64decode(left), base64.b64decode(right))
        except (binascii.Error, ValueError):
            return different(kind)
    if kind.startswith("image/") and kind != "image/svg+xml":
        return different(kind)
    if kind.endswith("json"):
        return compare_trees(json.loads(left), json.loads(right), tolerances)
    return compare_texts(left, right, tolerances)


def _kind(output: dict[str, Any]) -> str:
    return str(output.get("name") or output["output_type"])


def _error_text(output: dict[str, Any]) -> str:
    return "\n".join([output["ename"], output["evalue"], *output["traceback"]])


def is_difference(finding: Finding) -> bool:
    """Say whether a finding is more than numeric noise."""
    return finding.match in {Match.DIFFERENT, Match.INCOMPARABLE}
