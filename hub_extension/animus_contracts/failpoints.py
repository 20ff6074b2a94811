# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Faults are injected at named points, by rules that are understood completely or refused.

``<point>=<effect>``, separated by commas; the effect is ``crash``, ``error`` or ``delay:<seconds>``, and ``@<n>`` after
it means the n-th time only: ``before_tx=crash@3,after.executions.end=delay:0.5``. Each process says which points it
has and what its effects do; without rules there is nothing to reach.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import count

RULE = re.compile(
    r"(?P<point>[a-z_.]+)=(?P<effect>crash|error|delay:(?P<seconds>\d{1,4}(?:\.\d{1,3})?))(?:@(?P<at>[1-9]\d{0,6}))?"
)


class Effect(StrEnum):
    """What happens at a point."""

    CRASH = "crash"
    DELAY = "delay"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What happens at one point.

    Attributes:
        point: Its name.
        effect: What happens.
        seconds: How long a delay lasts.
        at: At which of the times it is reached, counted from 1; 0 for every time.
    """

    point: str
    effect: Effect
    seconds: float = 0.0
    at: int = 0


class Failpoints:
    """The points of a process that have a rule.

    Args:
        rules: What happens where, at most one rule for each point.
        effects: What each effect does.
    """

    def __init__(self, rules: Collection[Rule], effects: Mapping[Effect, Callable[[Rule], object]]) -> None:
        self._rules = {rule.point: (rule, count(1)) for rule in rules}
        self._effects = effects

    def reach(self, point: str) -> None:
        """Let happen what the point's rule says, if it has one."""
        if point in self._rules:
            rule, times = self._rules[point]
            if next(times) == rule.at or not rule.at:
                self._effects[rule.effect](rule)


def parse_rules(text: str, *, points: Collection[str]) -> list[Rule]:
    """Read rules.

    Raises:
        ValueError: Naming the first rule that is not understood, or whose point is unknown or has a rule already.
    """
    rules: dict[str, Rule] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = RULE.fullmatch(part)
        if match is None:
            raise ValueError(f"{part[:80]!r} is not <point>=crash|error|delay:<seconds>, with or without @<n>")
        if match["point"] not in points:
            raise ValueError(f"there is no point {match['point']!r}")
        if match["point"] in rules:
            raise ValueError(f"the point {match['point']!r} has two rules")
        effect = Effect(match["effect"].partition(":")[0])
        seconds, at = float(match["seconds"] or 0), int(match["at"] or 0)
        rules[match["point"]] = Rule(point=match["point"], effect=effect, seconds=seconds, at=at)
    return list(rules.values())
