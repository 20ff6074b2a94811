# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What follows from an expired lease, for every state in which a run may have one."""

from __future__ import annotations

from datetime import timedelta

import pytest

from animus_contracts.runs import RunState
from animus_control.domain.runs import TRANSITIONS, Move
from animus_control.domain.silence import Handling, handling

GRACE = timedelta(seconds=30)
NOT_YET, LONG_ENOUGH = GRACE - timedelta(microseconds=1), GRACE
H, S = Handling, RunState
HELD = [S.DISPATCHING, S.RUNNING, S.UNKNOWN, S.RECONCILING]
"""Where a run is while somebody has a lease for it."""


@pytest.mark.parametrize(
    ("state", "listened", "expected"),
    [
        (S.DISPATCHING, timedelta(), H.RETURN),
        (S.DISPATCHING, NOT_YET, H.RETURN),
        (S.DISPATCHING, LONG_ENOUGH, H.RETURN),
        (S.RUNNING, timedelta(), H.DOUBT),
        (S.RUNNING, NOT_YET, H.DOUBT),
        (S.RUNNING, LONG_ENOUGH, H.DOUBT),
        (S.UNKNOWN, timedelta(), H.LISTEN),
        (S.UNKNOWN, NOT_YET, H.LISTEN),
        (S.UNKNOWN, LONG_ENOUGH, H.GIVE_UP),
        (S.RECONCILING, timedelta(), H.LISTEN),
        (S.RECONCILING, NOT_YET, H.LISTEN),
        (S.RECONCILING, LONG_ENOUGH, H.GIVE_UP),
    ],
)
def test_a_run_that_may_live_is_given_up_only_after_somebody_listened(
    state: RunState, listened: timedelta, expected: Handling
) -> None:
    assert handling(state, listened, GRACE) is expected


def test_the_table_has_every_state_in_which_a_run_has_a_lease() -> None:
    """Those which a run reaches by a lease and does not leave by going back to the queue or to its end."""
    reached, waiting = set(), [S.DISPATCHING]
    while waiting:
        state = waiting.pop()
        if state not in reached and state is not S.QUEUED and TRANSITIONS[state]:
            reached.add(state)
            waiting += TRANSITIONS[state].values()
    assert reached == set(HELD)
    assert Move.LEASE in TRANSITIONS[S.QUEUED]
