# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Text compared word for word, except that fractions in it are numbers.

``loss 0.30000000000000004`` and ``loss 0.3`` are alike within a tolerance, and so is the white space that made room for
the longer one. What has no decimal point and no exponent is compared exactly: counts, identifiers, dates, versions.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import zip_longest

from animus_contracts.comparisons import Tolerances
from animus_runner.comparison.findings import IDENTICAL, Closeness, Finding, different

# Not within a word, a version (1.2.3) or a hexadecimal number; at most so long that float() is quick.
FRACTION = re.compile(
    r"(?<![\w.])[-+]?(?:\d{1,400}\.\d{0,400}|\.\d{1,400}|\d{1,400}(?=[eE]))(?:[eE][-+]?\d{1,5})?(?=j?(?:\W|\Z))(?!\.\w)"
)
SPACES = re.compile(r"[ \t]+")
MAX_SHOWN = 60


def compare_texts(left: str, right: str, tolerances: Tolerances) -> Finding:
    """Compare two texts."""
    if left == right:
        return IDENTICAL
    closeness, is_respaced = Closeness(tolerances), False
    for (word, number), (other_word, other_number) in zip_longest(_pieces(left), _pieces(right), fillvalue=("", None)):
        if _plain(word) != _plain(other_word) or (number is None) is not (other_number is None):
            return different(_where(left, right))
        is_respaced |= word != other_word
        if number is not None and other_number is not None and number != other_number:
            _compare_numbers(float(number), float(other_number), closeness)
        if not closeness.is_within:
            return different(_where(left, right))
    # White space may differ where it made room for another number, and nowhere else.
    return different(_where(left, right)) if is_respaced and closeness.is_exact else closeness.finding()


def _compare_numbers(number: float, other: float, closeness: Closeness) -> None:
    if math.isfinite(number) and math.isfinite(other):
        closeness.compare(number, other, "numbers")
    else:
        closeness.refuse("numbers too large to be compared")


def shared_lines(left: str, right: str) -> int:
    """Return how many characters the whole lines have that two texts share at their beginning."""
    low, high = 0, min(len(left), len(right))
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if left[low:middle] == right[low:middle] else (low, middle - 1)
    return left.rfind("\n", 0, low) + 1


def _pieces(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the words before each fraction with the fraction, and at last the rest."""
    start = 0
    for found in FRACTION.finditer(text):
        yield text[start : found.start()], found.group()
        start = found.end()
    yield text[start:], None


def _plain(words: str) -> str:
    return SPACES.sub(" ", words)


def _where(left: str, right: str) -> str:
    lines, other_lines = left.splitlines(), right.splitlines()
    for number, (line, other) in enumerate(zip_longest(lines, other_lines), start=1):
        if line != other:
            return f"line {number}: {_shown(line)} and {_shown(other)}"
    return "line ends"


def _shown(line: str | None) -> str:
    if line is None:
        return "nothing"
    return repr(line if len(line) <= MAX_SHOWN else f"{line[:MAX_SHOWN]}…")
