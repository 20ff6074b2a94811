# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a difference looks like: the smallest set of things that, masked, makes two texts equal.

Masks are patterns for what only chance writes: times, durations, addresses, random names. A difference that no mask
explains may still be one of order (the same words) or of numbers.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from animus_contracts.comparisons import CauseKind
from animus_runner.comparison.texts import shared_lines

MAX_TEXT = 256 << 10

_MONTH = r"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)[a-z]{0,6}"
_DAY = r"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]{0,6}"
_UNIT = r"(?:ns|µs|μs|us|ms|sec(?:onds?)?|s|min(?:utes?)?|h)\b"
MASKS: dict[CauseKind, re.Pattern[str]] = {
    CauseKind.MEMORY_ADDRESS: re.compile(r"0x[0-9a-fA-F]{6,16}\b|\b1[34]\d{13}\b"),
    CauseKind.TIMING_OUTPUT: re.compile(
        r"\d+%\|[^|\n]{0,200}\|[^\n]{0,200}"  # a progress bar
        r"|\[\d\d:\d\d<[^\]\n]{0,60}\]"
        r"|\b\d+(?:\.\d+)?(?:[kKMG]?i?[bB]?|it| rows?| samples?)/(?:s|sec|second|step)\b"
        rf"|\b\d+(?:\.\d+)?(?:e-?\d+)?[ \xa0]?{_UNIT}(?: ± \d+(?:\.\d+)?[ \xa0]?{_UNIT})?"
    ),
    CauseKind.CLOCK: re.compile(
        r"\b\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?(?:Z|[+-]\d\d:?\d\d)?"
        r"|\b\d\d:\d\d:\d\d(?:[.,]\d+)?"
        r"|datetime\.(?:datetime|date|time)\([\d, ]{1,60}\)"
        rf"|\b{_DAY},? (?:\d\d? )?{_MONTH} {{0,2}}\d*|\b\d\d? {_MONTH} \d{{4}}|\b{_MONTH} \d\d?, \d{{4}}"
        r"|\b1[5-9]\d{8}(?:\.\d+)?\b|\b1[5-9]\d{11}\b|\b1[5-9]\d{17}\b"  # seconds, milliseconds, nanoseconds since 1970
    ),
    CauseKind.PROCESS_IDENTITY: re.compile(
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"
        r"|\b(?=[0-9a-f]{0,63}[a-f])(?=[a-f]{0,63}\d)[0-9a-f]{8,64}\b"
        r"|b'(?:[^'\\\n]|\\.){4,200}'"
        r"|\btmp[a-z0-9_]{8}\b"
        r"|(?i:\bpid\b)[ =:]{1,3}\d+"
    ),
}
"""In the order in which they are tried: a duration is not a clock time, and a clock time no random name."""

NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?|\bnan\b|\binf\b")
SPACES = re.compile(r"[ \t]+")
WORD = re.compile(r"[\w.+-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Appearance:
    """What a difference looks like.

    Attributes:
        kinds: Causes whose traces are all that differs.
        is_numeric: Whether only numbers differ, and nothing says whose.
    """

    kinds: tuple[CauseKind, ...] = ()
    is_numeric: bool = False


def appearance_of(left: str, right: str) -> Appearance:
    """Say what the difference of two texts looks like; only the part from the first difference on is looked at."""
    start = shared_lines(left, right)
    left, right = left[start : start + MAX_TEXT], right[start : start + MAX_TEXT]
    if left == right:
        return Appearance()
    for kind, mask in MASKS.items():
        if _plain(mask.sub("~", left)) == _plain(mask.sub("~", right)):
            return Appearance(kinds=(kind,))
    if sorted(WORD.findall(left)) == sorted(WORD.findall(right)):
        return Appearance(kinds=(CauseKind.UNORDERED_ITERATION,))
    if kinds := _together(left, right):
        return Appearance(kinds=kinds)
    return Appearance(is_numeric=_plain(NUMBER.sub("~", left)) == _plain(NUMBER.sub("~", right)))


def _together(left: str, right: str) -> tuple[CauseKind, ...]:
    """Return the kinds that are all needed to explain a difference that none explains alone."""
    if _masked(left, MASKS) != _masked(right, MASKS):
        return ()
    return tuple(
        kind
        for kind in MASKS
        if _masked(left, others := {one: mask for one, mask in MASKS.items() if one != kind}) != _masked(right, others)
    )


def _masked(text: str, masks: dict[CauseKind, re.Pattern[str]]) -> str:
    for mask in masks.values():
        text = mask.sub("~", text)
    return _plain(text)


def _plain(text: str) -> str:
    return SPACES.sub(" ", text)
