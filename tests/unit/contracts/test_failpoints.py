# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A rule for a fault is understood completely or refused, and it acts at its own point and time only."""

from __future__ import annotations

import pytest

from animus_contracts.failpoints import Effect, Failpoints, Rule, parse_rules

POINTS = frozenset({"before_tx", "after.executions.end"})


def test_rules_are_read_with_effect_seconds_and_time() -> None:
    assert parse_rules(" before_tx=crash@3 ,after.executions.end=delay:0.25,", points=POINTS) == [
        Rule(point="before_tx", effect=Effect.CRASH, at=3),
        Rule(point="after.executions.end", effect=Effect.DELAY, seconds=0.25),
    ]


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("elsewhere=crash", "no point 'elsewhere'"),
        ("before_tx", "'before_tx' is not"),
        ("before_tx=explode", "is not"),
        ("before_tx=crash@0", "is not"),
        ("before_tx=delay", "is not"),
        ("before_tx=delay:-1", "is not"),
        ("before_tx=crash:1", "is not"),
        ("before_tx=crash,before_tx=error", "two rules"),
    ],
)
def test_a_rule_that_is_not_understood_is_named(text: str, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        parse_rules(text, points=POINTS)


def test_only_the_rules_own_point_at_its_own_time_has_an_effect() -> None:
    reached: list[Rule] = []
    rules = parse_rules("before_tx=crash@2,after.executions.end=error", points=POINTS)
    failpoints = Failpoints(rules, dict.fromkeys(Effect, reached.append))
    for point in ("before_tx", "elsewhere", "before_tx", "before_tx", "after.executions.end", "after.executions.end"):
        failpoints.reach(point)
    assert reached == [rules[0], rules[1], rules[1]]
