# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run's moves over the full product of states and moves, and what each changes."""

from __future__ import annotations

from datetime import timedelta
from itertools import product

import msgspec
import pytest

from animus_contracts.runs import TERMINAL_STATES, Limitation, Run, RunState
from animus_control.domain.errors import ConflictError
from animus_control.domain.runs import TRANSITIONS, Move, advance, merged
from tests.ports.records_of_a_project import a_run
from tests.unit.control.moments import NOW

LATER = NOW + timedelta(seconds=7)
# Written down a second time, as sentences "from move to", so that a change of the table is a decision.
ALLOWED = """
created plan planned
created cancel canceled
planned await_approval awaiting_approval
planned queue queued
planned cancel canceled
awaiting_approval queue queued
awaiting_approval cancel canceled
queued lease dispatching
queued fail failed
queued cancel canceled
dispatching start running
dispatching return queued
dispatching fail failed
dispatching cancel canceled
running lose unknown
running succeed succeeded
running fail failed
running cancel canceled
unknown recover running
unknown give_up reconciling
unknown succeed succeeded
unknown fail failed
unknown cancel canceled
reconciling recover running
reconciling succeed succeeded
reconciling fail failed
reconciling cancel canceled
"""
EXPECTED = {(words[0], words[1]): words[2] for line in ALLOWED.strip().splitlines() if (words := line.split())}


@pytest.mark.parametrize(("state", "move"), list(product(RunState, Move)), ids=str)
def test_run_moves_only_as_written_down(state: RunState, move: Move) -> None:
    run = in_state(state)
    expected = EXPECTED.get((state, move))
    if expected is not None:
        assert advance(run, move, LATER).state == expected
        return
    with pytest.raises(ConflictError) as caught:
        advance(run, move, LATER)
    assert caught.value.code == ("run_terminal" if state in TERMINAL_STATES else "invalid_transition")


def test_every_state_has_a_row_and_every_move_is_used() -> None:
    assert set(TRANSITIONS) == set(RunState)
    assert {move for row in TRANSITIONS.values() for move in row} == set(Move)


def test_every_state_is_reached_from_the_first_and_reaches_an_end() -> None:
    reached = {RunState.CREATED}
    for _ in RunState:
        reached |= {target for state in reached for target in TRANSITIONS[state].values()}
    ending = set(TERMINAL_STATES)
    for _ in RunState:
        ending |= {state for state, row in TRANSITIONS.items() if ending & set(row.values())}

    assert reached == ending == set(RunState)


def test_end_notes_when_and_counts_a_version() -> None:
    run = in_state(RunState.RUNNING)

    ended = advance(run, Move.SUCCEED, LATER)

    assert ended == msgspec.structs.replace(run, state=RunState.SUCCEEDED, version=run.version + 1, finished_at=LATER)


def test_returned_run_keeps_its_place_in_the_queue() -> None:
    run = msgspec.structs.replace(in_state(RunState.DISPATCHING), queued_at=NOW)

    assert advance(run, Move.RETURN, LATER).queued_at == NOW


def test_recovered_run_keeps_the_time_it_started() -> None:
    run = msgspec.structs.replace(in_state(RunState.UNKNOWN), started_at=NOW)

    assert advance(run, Move.RECOVER, LATER).started_at == NOW


def test_limitations_are_merged_without_repetition() -> None:
    dirty, network = Limitation.DIRTY_WORKTREE, Limitation.NETWORK_NOT_ISOLATED

    assert merged([network, dirty], [dirty]) == [dirty, network]


def in_state(state: RunState) -> Run:
    return msgspec.structs.replace(a_run(), state=state, queued_at=None, started_at=None)
