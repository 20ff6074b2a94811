# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""No run waits or runs longer than it may, and who is asked to stop hears of it."""

from __future__ import annotations

import pytest

from animus_contracts.environments import Resources
from animus_contracts.executions import ExecutionState, Verdict
from animus_contracts.runs import FailureReason, RunState
from animus_control.domain.errors import ConflictError, InvalidError
from tests.unit.control.services.desk import LOCAL, REMOTE, Desk
from tests.unit.control.services.waiting_room import WaitingRoom

MINUTE = Resources(wall_seconds=60)
OVERTIME = 75


@pytest.fixture
def room(any_desk: Desk) -> WaitingRoom:
    room = WaitingRoom(any_desk)
    room.open("demo")
    return room


def test_a_run_that_waited_as_long_as_it_may_fails_and_says_that_it_never_started(room: WaitingRoom) -> None:
    patient = room.submit(executor_labels={"gpu": "a100"})
    run = room.submit(executor_labels={"gpu": "a100"}, queue_seconds=60)
    room.ask()
    room.desk.later(59)
    assert room.desk.reconcile() == 0

    room.desk.later(1)
    assert room.desk.reconcile() == 1

    ended = room.desk.run(run)
    assert ended.failure is not None
    assert (ended.state, ended.failure.reason) == (RunState.FAILED, FailureReason.TIMEOUT)
    assert ended.failure.summary == "It never started: no executor took it within 60 seconds."
    assert ended.failure.detail == "No executor has the label gpu=a100."
    assert (room.desk.run(patient).state, room.desk.reconcile()) == (RunState.QUEUED, 0)


def test_a_run_that_was_given_out_in_time_is_not_ended_for_waiting(room: WaitingRoom) -> None:
    run = room.submit(queue_seconds=5)
    lease = room.desk.leased()
    room.desk.later(10)
    assert room.desk.reconcile() == 0
    room.desk.start(lease)
    assert room.desk.end(lease).state is RunState.SUCCEEDED
    assert room.desk.run(run).state is RunState.SUCCEEDED


def test_a_run_whose_executor_was_lost_before_the_start_waits_no_longer_for_that(room: WaitingRoom) -> None:
    run = room.submit(queue_seconds=20)
    room.desk.leased()
    room.desk.later(31)
    room.desk.reconcile()
    room.desk.reconcile()
    assert room.desk.run(run).state is RunState.FAILED


def test_a_run_past_its_wall_time_is_ended_although_its_executor_lives(room: WaitingRoom) -> None:
    run = room.submit(resources=MINUTE)
    lease = room.desk.leased()
    room.desk.start(lease)
    seconds = 0
    while room.desk.run(run).state is RunState.RUNNING:
        room.desk.later(3)
        seconds += 3
        room.desk.heartbeat(lease)
        room.desk.reconcile()

    ended = room.desk.run(run)
    assert ended.failure is not None
    assert (ended.state, ended.failure.reason) == (RunState.FAILED, FailureReason.TIMEOUT)
    assert "60 seconds" in ended.failure.summary
    assert MINUTE.wall_seconds + OVERTIME <= seconds <= MINUTE.wall_seconds + 90
    with pytest.raises(ConflictError) as caught:
        room.desk.heartbeat(lease)
    assert caught.value.code == "stale_epoch"
    attempts = room.desk.read(lambda uow: uow.executions.of_run(run.run_id))
    assert [attempt.state for attempt in attempts] == [ExecutionState.LOST]


def test_an_end_in_the_overtime_counts(room: WaitingRoom) -> None:
    run = room.submit(resources=MINUTE)
    lease = room.desk.leased()
    room.desk.start(lease)
    for _ in range(6):
        room.live(lease, 20)
        room.desk.reconcile()

    assert room.desk.end(lease).state is RunState.SUCCEEDED
    assert room.desk.run(run).state is RunState.SUCCEEDED


def test_an_outage_over_the_end_of_the_wall_time_leaves_the_executor_its_overtime(room: WaitingRoom) -> None:
    run = room.submit(resources=MINUTE)
    lease = room.desk.leased()
    room.desk.start(lease)
    room.desk.later(3600)

    room.desk.reconcile()
    room.desk.heartbeat(lease)
    for _ in range(3):
        room.live(lease, 20)
        room.desk.reconcile()

    assert room.desk.run(run).state is RunState.RUNNING
    assert room.desk.end(lease).state is RunState.SUCCEEDED


def test_a_canceled_run_past_its_wall_time_ends_canceled(room: WaitingRoom) -> None:
    run = room.submit(resources=MINUTE)
    lease = room.desk.leased()
    room.desk.start(lease)
    room.cancel(run)
    for _ in range(10):
        room.desk.later(20)
        if room.desk.run(run).state is RunState.RUNNING:
            room.desk.heartbeat(lease)
        room.desk.reconcile()
    assert room.desk.run(run).state is RunState.CANCELED


def test_the_executor_hears_which_of_its_attempts_are_to_be_stopped(room: WaitingRoom) -> None:
    runs = [room.submit() for _ in range(3)]
    mine, started, theirs = room.desk.leased(), room.desk.leased(), room.desk.leased(REMOTE)
    room.desk.start(started)
    assert room.cancellations() == []

    for run in runs:
        assert room.cancel(run) == room.cancel(run)

    assert sorted(room.cancellations()) == sorted([mine.execution_id, started.execution_id])
    assert room.cancellations(LOCAL, mine.execution_id) == [started.execution_id]
    assert room.cancellations(REMOTE) == [theirs.execution_id]
    room.desk.end(mine, Verdict.CANCELED)
    assert room.cancellations() == [started.execution_id]


@pytest.mark.parametrize(
    ("field", "value"),
    [("priority", 101), ("priority", -101), ("queue_seconds", 0), ("cell_seconds", 0.0), ("retries", 6),
     ("retries", -1), ("executor_labels", {"gpu": ""}), ("executor_labels", {"ü": "x"}),
     ("executor_labels", {f"l{n}": "x" for n in range(17)})],
)  # fmt: skip
def test_what_cannot_be_queued_is_refused_with_its_place(room: WaitingRoom, field: str, value: object) -> None:
    with pytest.raises(InvalidError) as caught:
        room.submit(**{field: value})
    assert [fault.path for fault in caught.value.faults] == [f"$.{field}"]


def test_an_outage_within_the_overtime_leaves_the_executor_an_overtime_that_it_can_use(room: WaitingRoom) -> None:
    run = room.submit(resources=MINUTE)
    lease = room.desk.leased()
    room.desk.start(lease)
    room.desk.later(61)
    room.desk.heartbeat(lease)
    room.desk.reconcile()
    room.desk.later(3600)

    room.desk.reconcile(listened=0)
    room.desk.reconcile(listened=OVERTIME - 1)

    assert room.desk.end(lease).state is RunState.SUCCEEDED
    assert room.desk.run(run).state is RunState.SUCCEEDED
