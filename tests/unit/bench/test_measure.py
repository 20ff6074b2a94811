# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A peer that fails now and then is still measured, and whoever reads the table learns that it failed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import pytest

from tests.bench.measure import REPETITIONS, PeerFailedError, Side, compare, interleave


def saying(answers: Iterable[float | None]) -> Callable[[], float]:
    """Make a side that takes these seconds, one after the other; None is a failure."""
    rest = iter(answers)

    def once() -> float:
        seconds = next(rest)
        if seconds is None:
            raise PeerFailedError("a kernel did not respond")
        return seconds

    return once


def at_once() -> None:
    """Do not wait for the machine."""


def test_no_side_begins_before_the_machine_has_come_to_rest() -> None:
    seen: list[str] = []

    def work(name: str) -> Callable[[], float]:
        return lambda: seen.append(name) or 1.0

    interleave([Side("a", work("a")), Side("b", work("b"))], rounds=1, warmups=1, rest=lambda: seen.append("rest"))
    assert seen == ["rest", "a", "rest", "b"] * 2


def test_sides_take_turns_and_medians_are_compared() -> None:
    ours, peer = Side("ours", saying([9, 1, 2, 3])), Side("peer", saying([9, 10, 20, 60]))
    interleave([ours, peer], rounds=3, rest=at_once)
    result = compare("x", ours, peer, at_most=0.1)
    assert (result.ratio, result.met) == (0.1, True)
    assert (result.ours, result.peer) == ("2.000 s (1.000…3.000)", "peer 20.000 s (10.000…60.000)")


def test_a_peer_that_failed_is_asked_again_and_the_table_says_so() -> None:
    ours, peer = Side("ours", saying([1, 1, 1])), Side("peer", saying([None, 5, 5, None, 5]))
    interleave([ours, peer], rounds=2, rest=at_once)
    assert compare("x", ours, peer, at_most=1).peer == "peer 5.000 s (5.000…5.000; failures: 2)"


def test_a_peer_that_fails_again_and_again_is_not_measured() -> None:
    peer = Side("peer", saying([None] * (REPETITIONS + 1)))
    with pytest.raises(PeerFailedError):
        interleave([peer], rounds=1, rest=at_once)
