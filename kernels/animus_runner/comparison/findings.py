# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How alike two values are, with the first reason and the largest numeric difference; the worst of many wins."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from animus_contracts.comparisons import Match, Tolerances

ORDER = {match: place for place, match in enumerate(Match)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """How alike two values are.

    Attributes:
        match: The verdict.
        detail: What differs first, in one line.
        relative: Largest relative difference of two numbers; None when no numbers were compared.
        absolute: Largest absolute one.
    """

    match: Match
    detail: str = ""
    relative: float | None = None
    absolute: float | None = None


IDENTICAL = Finding(match=Match.IDENTICAL)


def different(detail: str) -> Finding:
    """Say that two values differ."""
    return Finding(match=Match.DIFFERENT, detail=detail)


def incomparable(detail: str) -> Finding:
    """Say that two values differ in their bytes and why nobody can say how much."""
    return Finding(match=Match.INCOMPARABLE, detail=detail)


def worst(findings: Iterable[Finding]) -> Finding:
    """Return the worst of findings, with the largest numeric differences of all; nothing at all is identical."""
    worst_one, relative, absolute = IDENTICAL, None, None
    for finding in findings:
        if ORDER[finding.match] > ORDER[worst_one.match]:
            worst_one = finding
        relative = _larger(relative, finding.relative)
        absolute = _larger(absolute, finding.absolute)
    return Finding(match=worst_one.match, detail=worst_one.detail, relative=relative, absolute=absolute)


def _larger(one: float | None, other: float | None) -> float | None:
    present = [value for value in (one, other) if value is not None]
    return max(present, default=None)


class Closeness:
    """Compares many pairs of numbers and remembers how far apart the farthest were.

    Args:
        tolerances: What still counts as equivalent.
    """

    def __init__(self, tolerances: Tolerances) -> None:
        self._tolerances = tolerances
        self._relative = 0.0
        self._absolute = 0.0
        self.detail = ""
        self.is_within = True
        self.is_exact = True

    def compare(self, left: float, right: float, where: str) -> None:
        """Compare one pair; two NaN are alike, and so are two infinities of one sign."""
        if left == right or (left != left and right != right):  # noqa: PLR0124 - NaN is what differs from itself
            return
        self.is_exact = False
        self._measure(left, right)
        if self.is_within and not self._is_close(left, right):
            self.is_within = False
            self.detail = f"{where}: {left!r} and {right!r}"

    def refuse(self, detail: str) -> None:
        """Take note of a difference that no tolerance covers."""
        if self.is_within:
            self.is_within = self.is_exact = False
            self.detail = detail

    def finding(self) -> Finding:
        """Return the verdict; values that are equal although their bytes are not count as equivalent."""
        match = Match.EQUIVALENT if self.is_within else Match.DIFFERENT
        detail = self.detail
        if self.is_within:
            detail = (
                "equal values" if self.is_exact else f"numbers differ by at most {self._relative:.2g} of their size"
            )
        numeric = (None, None) if self.is_exact or not self._absolute else (self._relative, self._absolute)
        return Finding(match=match, detail=detail, relative=numeric[0], absolute=numeric[1])

    def _measure(self, left: float, right: float) -> None:
        apart, size = abs(left - right), max(abs(left), abs(right))
        if math.isfinite(apart) and size:
            self._absolute = max(self._absolute, float(apart))
            self._relative = max(self._relative, float(apart / size))

    def _is_close(self, left: float, right: float) -> bool:
        if isinstance(left, int) and isinstance(right, int):
            return False  # counts and identifiers are exact
        relative, absolute = self._tolerances.relative, self._tolerances.absolute
        return math.isclose(left, right, rel_tol=relative, abs_tol=absolute)
