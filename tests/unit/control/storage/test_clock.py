# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The control plane's time never steps, never goes back, and meets the database's time in the end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from animus_control.storage.clock import SteadyClock
from animus_control.storage.database import StoredDatabase

START = datetime(2026, 1, 1, tzinfo=UTC)
EVERY = 10.0
TENTH = 0.1


@dataclass
class World:
    """Real seconds, and a wall clock that is wrong by as many."""

    seconds: float = 0.0
    error: float = 0.0

    def wall(self) -> datetime:
        return START + timedelta(seconds=self.seconds + self.error)

    def monotonic(self) -> float:
        return self.seconds


@pytest.mark.parametrize("step", [3600.0, -3600.0, 86_400.0, -86_400.0])
def test_a_clock_that_is_set_is_followed_no_faster_than_promised(step: float) -> None:
    world = World()
    clock = SteadyClock(world.wall, world.monotonic)
    world.error = step
    before = clock()
    for _ in range(100):
        world.seconds += EVERY
        clock.follow(EVERY)
        after = clock()
        passed = (after - before).total_seconds()
        assert EVERY * (1 - TENTH) - 0.001 <= passed <= EVERY * (1 + TENTH) + 0.001
        before = after


@pytest.mark.parametrize("error", [5.0, -5.0])
def test_a_small_error_is_gone_in_the_end_and_not_overshot(error: float) -> None:
    world = World()
    clock = SteadyClock(world.wall, world.monotonic)
    world.error = error
    for _ in range(20):
        world.seconds += EVERY
        clock.follow(EVERY)
    world.seconds += EVERY
    assert abs(clock() - world.wall()) < timedelta(milliseconds=1)


def test_time_between_two_looks_needs_no_database() -> None:
    world = World()
    clock = SteadyClock(world.wall, world.monotonic)
    world.error, world.seconds = 1000.0, 7.0
    assert clock() == START + timedelta(seconds=7)


def test_the_databases_present_is_in_utc_and_now(database: StoredDatabase) -> None:
    present = database.now()
    assert present.tzinfo is UTC
    assert abs(present - datetime.now(UTC)) < timedelta(seconds=5)
