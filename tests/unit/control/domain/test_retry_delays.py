# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How long a retry waits: doubling, bounded, spread by the run's id, and the same whoever computes it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from animus_contracts.identifiers import RunId
from animus_contracts.origins import Origin, Relation
from animus_control.domain.limits import DEFAULT_LIMITS
from animus_control.domain.repeats import SPREAD, origin_of_repeat, retry_delay
from tests.ports.records_of_a_project import a_run, identifier

BASE, LONGEST = DEFAULT_LIMITS.retry_base, DEFAULT_LIMITS.retry_longest


def retried(number: int, relation: Relation = Relation.RETRY) -> Origin:
    return Origin(relation=relation, run_id=RunId("before"), first_run_id=RunId("first"), number=number)


@pytest.mark.parametrize(
    ("used", "least"),
    [(0, BASE), (1, 2 * BASE), (2, 4 * BASE), (5, 32 * BASE), (6, LONGEST), (60, LONGEST), (1000, LONGEST)],
)
def test_a_delay_doubles_up_to_its_bound_and_is_a_little_longer(used: int, least: timedelta) -> None:
    run = a_run(origin=retried(used) if used else None)
    assert least <= retry_delay(run, DEFAULT_LIMITS) <= least * (1 + SPREAD)


def test_delays_are_spread_by_the_runs_and_the_same_for_one_run() -> None:
    delays = [retry_delay(a_run(number), DEFAULT_LIMITS) for number in range(100, 200)]
    assert len(set(delays)) > 95
    assert delays == [retry_delay(a_run(number), DEFAULT_LIMITS) for number in range(100, 200)]


def test_the_retry_of_a_replay_is_the_first_retry_and_keeps_the_beginning_of_the_chain() -> None:
    replay = a_run(origin=retried(3, Relation.REPLAY))
    assert origin_of_repeat(replay, Relation.RETRY) == Origin(
        relation=Relation.RETRY, run_id=RunId(identifier(100)), first_run_id=RunId("first"), number=1
    )
