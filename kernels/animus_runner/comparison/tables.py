# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tables (CSV, TSV) compared row by row as they are read; a field is a number when both sides' fields are."""

from __future__ import annotations

import csv
import math
from itertools import zip_longest
from pathlib import Path

from animus_contracts.comparisons import Tolerances
from animus_runner.comparison.findings import Closeness, Finding, incomparable

MAX_FIELD = 1 << 20
MAX_SHOWN = 60
MAX_DIGITS = 300
"""A longer number may not fit a float."""


def compare_tables(left: Path, right: Path, delimiter: str, tolerances: Tolerances) -> Finding:
    """Compare two tables whose bytes differ."""
    closeness = Closeness(tolerances)
    csv.field_size_limit(MAX_FIELD)
    try:
        with left.open(newline="", encoding="utf-8") as ours, right.open(newline="", encoding="utf-8") as theirs:
            rows = zip_longest(csv.reader(ours, delimiter=delimiter), csv.reader(theirs, delimiter=delimiter))
            for number, (row, other) in enumerate(rows, start=1):
                if row is None or other is None:
                    closeness.refuse(f"one ends after {number - 1} rows")
                elif row != other:
                    _compare_rows(row, other, number, closeness)
                if not closeness.is_within:
                    break
    except (csv.Error, UnicodeDecodeError) as error:
        return incomparable(f"not a table that can be read: {error}")
    return closeness.finding()


def _compare_rows(row: list[str], other: list[str], number: int, closeness: Closeness) -> None:
    if len(row) != len(other):
        closeness.refuse(f"row {number}: {len(row)} fields and {len(other)}")
        return
    for column, (field, other_field) in enumerate(zip(row, other, strict=True), start=1):
        if field == other_field:
            continue
        where = f"row {number}, column {column}"
        value, other_value = _number(field), _number(other_field)
        if value is None or other_value is None:
            closeness.refuse(f"{where}: {field[:MAX_SHOWN]!r} and {other_field[:MAX_SHOWN]!r}")
            return
        closeness.compare(value, other_value, where)


def _number(field: str) -> int | float | None:
    """Return the number a field spells; None when it spells none, or one of absurd length."""
    if len(field) > MAX_DIGITS or "_" in field:
        return None
    try:
        return int(field)
    except ValueError:
        pass
    try:
        value = float(field)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
