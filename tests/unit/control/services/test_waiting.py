# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that waits says why, in one sentence that can be acted on, and where it is in the queue."""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity
from animus_contracts.queues import Waiting, WaitingReason
from animus_contracts.runs import Limitation, RunClass, RunState
from animus_control.domain.errors import MissingError
from tests.unit.control.services.desk import ED, REMOTE, VIC, Desk
from tests.unit.control.services.waiting_room import WaitingRoom

WEAK = [Limitation.NETWORK_NOT_ISOLATED]
LITTLE = Capacity(cpus=1, memory_mib=4096)
A100 = {"gpu": "a100"}


@pytest.fixture
def room(any_desk: Desk) -> WaitingRoom:
    room = WaitingRoom(any_desk)
    room.open("demo", "beta")
    return room


# What is submitted, what the only executor offers (None: there is none), and what is told.
CASES: dict[str, tuple[dict[str, Any], dict[str, Any] | None, WaitingReason, str]] = {
    "nobody": ({}, None, WaitingReason.NO_EXECUTOR, "No executor has asked for work lately."),
    "platform": (
        {}, {"platform": "win_amd64"}, WaitingReason.NO_EXECUTOR, "No executor has the platform linux_x86_64.",
    ),
    "isolation": (
        {"run_class": RunClass.PRODUCTION, "seed": 1}, {"limitations": WEAK}, WaitingReason.NO_EXECUTOR,
        "No executor isolates runs as completely as a production run needs.",
    ),
    "label": (
        {"executor_labels": A100}, {"labels": {"gpu": "t4"}}, WaitingReason.NO_EXECUTOR,
        "No executor has the label gpu=a100.",
    ),
    "one of two labels": (
        {"executor_labels": A100 | {"zone": "eu"}}, {"labels": {"zone": "eu"}}, WaitingReason.NO_EXECUTOR,
        "No executor has the label gpu=a100.",
    ),
    "never as large": (
        {"resources": Resources(cpus=8, gpus=1)}, {"capacity": LITTLE}, WaitingReason.NO_EXECUTOR,
        "It asks for 8 cores, 2048 MiB, 1 accelerators; executors that could take it had at most 1 cores, 4096 MiB.",
    ),
    "next": ({}, {}, WaitingReason.IN_QUEUE, "It is the next run of its project."),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_the_obstacle_is_named(room: WaitingRoom, case: str) -> None:
    submission, offer, reason, detail = CASES[case]
    if offer is not None:
        room.ask(**offer)
    run = room.submit(**submission)

    told = room.waiting(run)

    assert told == Waiting(run_id=run.run_id, reason=reason, detail=detail, position=1, ahead=0, since=run.queued_at)


def test_labels_that_nobody_has_together_are_told_apart_from_labels_nobody_has(room: WaitingRoom) -> None:
    room.ask(labels=A100)
    room.ask(REMOTE, labels={"zone": "eu"})
    run = room.submit(executor_labels=A100 | {"zone": "eu"})
    assert room.waiting(run).detail == "No executor has the labels gpu=a100, zone=eu together."


def test_an_executor_that_is_busy_now_is_no_executor_that_is_too_small(room: WaitingRoom) -> None:
    first, second = room.submit(), room.submit()
    room.ask(capacity=Capacity(cpus=1, memory_mib=2048))

    told = room.waiting(second)

    assert told.reason is WaitingReason.NO_CAPACITY
    assert told.detail == "It asks for 1 cores, 2048 MiB; no executor that could take it has that free now."
    assert room.waiting(first).reason is WaitingReason.NOT_WAITING


def test_an_executor_that_fell_silent_is_none(room: WaitingRoom) -> None:
    room.ask()
    run = room.submit()
    room.desk.later(91)
    assert room.waiting(run).reason is WaitingReason.NO_EXECUTOR

    room.cancellations()

    assert room.waiting(run).reason is WaitingReason.IN_QUEUE


@pytest.mark.parametrize(
    ("bounds", "detail"),
    [
        ({"concurrent_runs": 1}, "1 of the 1 runs that the project's quota allows at a time are under way."),
        ({"cpu_hours": 0}, "The project has used 0.00 of the 0 core hours its quota allows since 2025-12-04."),
        ({"memory_gib_hours": 0}, "The project has used 0.00 of the 0 GiB hours its quota allows since 2025-12-04."),
        ({"gpu_hours": 0}, "The project has used 0.00 of the 0 accelerator hours its quota allows since 2025-12-04."),
    ],
)
def test_the_quota_that_holds_it_back_is_named(room: WaitingRoom, bounds: dict[str, Any], detail: str) -> None:
    room.submit()
    assert room.ask() is not None
    room.put_quota(**bounds)
    run = room.submit(resources=Resources(gpus=1))

    told = room.waiting(run)

    assert (told.reason, told.detail, told.position) == (WaitingReason.QUOTA_EXCEEDED, detail, 1)


def test_a_retry_tells_until_when_it_is_held_back(room: WaitingRoom) -> None:
    run = room.submit_held(65)
    told = room.waiting(run)
    assert (told.reason, told.position) == (WaitingReason.BACKOFF, None)
    assert told.detail == f"It is held back until {run.not_before:%Y-%m-%d %H:%M:%S} UTC."


def test_places_count_the_project_and_others_take_turns(room: WaitingRoom) -> None:
    mine = [room.submit() for _ in range(3)]
    urgent = room.submit(priority=1)
    for _ in range(2):
        room.submit("beta")

    told = [room.waiting(run) for run in (urgent, *mine)]

    assert [it.position for it in told] == [1, 2, 3, 4]
    assert [it.ahead for it in told] == [0, 1 + 1, 2 + 2, 3 + 2]


def test_the_estimate_comes_from_what_the_projects_runs_took(room: WaitingRoom) -> None:
    room.ask()
    room.submit()
    assert room.waiting(room.submit()).estimate_seconds is None
    room.run_for(30)
    room.run_for(30)
    [room.submit() for _ in range(3)]
    room.desk.leased()

    told = room.waiting(room.submit())

    assert (told.detail, told.estimate_seconds) == ("2 runs of the project go first.", 90)


def test_a_run_that_has_ended_waits_no_more(room: WaitingRoom) -> None:
    run = room.submit()
    room.run_for(1)
    told = room.waiting(run)
    assert told == Waiting(run_id=run.run_id, reason=WaitingReason.NOT_WAITING, detail="The run is succeeded.")


def test_the_story_of_a_queued_run_tells_why_it_waits_and_that_of_an_ended_one_does_not(room: WaitingRoom) -> None:
    run = room.submit(executor_labels=A100)
    story = room.desk.do(VIC, "runs.explain", None, project="demo", run=run.run_id)
    assert story.waiting == room.waiting(run)

    assert room.cancel(run).state is RunState.CANCELED

    story = room.desk.do(VIC, "runs.explain", None, project="demo", run=run.run_id)
    assert story.waiting is None


def test_a_run_of_another_project_is_not_there(room: WaitingRoom) -> None:
    run = room.submit("beta")
    with pytest.raises(MissingError):
        room.desk.do(ED, "runs.waiting", None, project="demo", run=run.run_id)
