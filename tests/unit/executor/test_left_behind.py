# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a supervisor or an executor left when it was killed is taken up by another one, with credentials of its own."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.executions import StartExecution, Verdict
from animus_contracts.runs import FailureReason
from animus_executor import handles
from animus_executor.runs import Record
from tests.fakes.backend import KILLED
from tests.fakes.control_plane import Attempt
from tests.fakes.plans import a_lease, a_plan, an_assignment
from tests.patience import until
from tests.unit.executor.one_slot import BROKEN, CANARY, World, ended


def test_what_a_killed_supervisor_left_is_delivered_by_another_one_under_a_token_of_its_own(world: World) -> None:
    world.backend.is_ending = False
    world.backend.left = AttemptResult(verdict=Verdict.SUCCEEDED)
    plan = a_plan()
    world.simulator.submit(plan)
    killed = world.backend.launched()
    killed.end(KILLED)

    assert ended(world.simulator.ended(plan.run_id, 10.0)).verdict is Verdict.SUCCEEDED

    _, another = world.backend.attempts
    token = another.assignment.run_token
    assert token not in {"", killed.assignment.run_token}
    assert another.assignment == msgspec.structs.replace(
        killed.assignment, run_token=token, run_token_seconds=another.assignment.run_token_seconds, is_remainder=True
    )


def test_what_is_left_waits_until_the_control_plane_is_back(world: World) -> None:
    world.backend.is_ending = False
    world.backend.left = AttemptResult(verdict=Verdict.SUCCEEDED)
    plan = a_plan()
    world.simulator.submit(plan)
    killed = world.backend.launched()
    world.simulator.away.set()
    killed.end(KILLED)
    time.sleep(1.0)
    assert len(world.backend.attempts) == 1
    world.simulator.away.clear()

    assert ended(world.simulator.ended(plan.run_id, 10.0)).verdict is Verdict.SUCCEEDED


def test_a_run_that_is_canceled_by_force_is_not_salvaged(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "FORCE_SECONDS", 0.2)
    world.backend.is_ending = False
    world.backend.left = AttemptResult(verdict=Verdict.SUCCEEDED)
    plan = a_plan()
    world.simulator.submit(plan)
    world.backend.launched()
    world.simulator.leased(plan.run_id).cancel = True

    assert ended(world.simulator.ended(plan.run_id, 10.0)).verdict is Verdict.CANCELED
    assert len(world.backend.attempts) == 1


def test_an_attempt_that_is_not_ours_any_more_is_not_salvaged(world: World) -> None:
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    killed = world.backend.launched()
    attempt = world.simulator.leased(plan.run_id)
    attempt.stale = True
    killed.end(KILLED)
    until(lambda: not world.attempts.active)
    assert (attempt.ended, len(world.backend.attempts)) == (None, 1)


def told_of(world: World, attempt: Attempt) -> Assignment:
    """What the supervisor of an attempt was told."""
    lease = attempt.lease
    environment = str(world.prepared.folder / "environment")
    folder = world.attempts.folders.path(lease.execution_id)
    return an_assignment(lease, folder, run_token=CANARY, environment_folder=environment)


def left_behind(world: World) -> tuple[Attempt, Record]:
    """A started attempt of an executor that was killed."""
    attempt = world.simulator.grant(a_plan())
    attempt.started = StartExecution(epoch=1, dispatch_token=attempt.lease.dispatch_token)
    folders = world.attempts.folders
    (folders.make(attempt.lease.execution_id) / "outputs").mkdir(mode=0o500)
    folders.record(attempt.lease, told_of(world, attempt))
    [record] = folders.left()
    return attempt, record


def adopt(world: World, record: Record) -> threading.Thread:
    thread = threading.Thread(target=world.attempts.adopt, args=(record,))
    thread.start()
    return thread


def test_a_record_holds_what_a_successor_needs_and_no_credential(world: World) -> None:
    attempt, record = left_behind(world)
    lease = attempt.lease
    assert record == Record(
        execution_id=lease.execution_id,
        run_id=lease.run_id,
        epoch=1,
        lease_seconds=lease.lease_seconds,
        heartbeat_seconds=lease.heartbeat_seconds,
        environment=str(world.prepared.folder / "environment"),
        resources=lease.plan.resources,
        assignment=msgspec.structs.replace(told_of(world, attempt), run_token=""),
    )
    assert CANARY not in (world.attempts.folders.path(lease.execution_id) / "attempt.json").read_text()


def test_what_never_started_is_removed_by_a_successor_and_left_to_its_lease(world: World) -> None:
    folders = world.attempts.folders
    folder = folders.make(a_lease().execution_id)
    stranger = folders.make(a_lease().execution_id)
    (stranger / "attempt.json").write_text("{}")
    assert list(folders.left()) == []
    assert not folder.exists()
    assert not stranger.exists()


def test_an_adopted_attempt_is_kept_alive_and_its_end_counts(world: World) -> None:
    world.backend.is_ending = False
    attempt, record = left_behind(world)
    thread = adopt(world, record)
    adopted = world.backend.launched()
    until(lambda: attempt.heartbeats > 3)
    adopted.end(AttemptResult(verdict=Verdict.SUCCEEDED))
    thread.join()
    assert ended(attempt).verdict is Verdict.SUCCEEDED
    assert world.prepared.uses == [world.prepared.folder / "environment"]
    assert list(world.attempts.folders.left()) == []


def test_an_adopted_supervisor_hears_that_its_token_was_renewed(world: World) -> None:
    world.backend.is_ending = False
    _, record = left_behind(world)
    thread = adopt(world, record)
    adopted = world.backend.launched()
    until(lambda: len(adopted.token_seconds) > 2)
    assert all(299.0 < seconds <= 300.0 for seconds in adopted.token_seconds)
    adopted.end(AttemptResult(verdict=Verdict.SUCCEEDED))
    thread.join()


def test_what_ended_while_no_executor_was_there_is_reported_as_it_ended(world: World) -> None:
    world.backend.outcome = AttemptResult(verdict=Verdict.FAILED, failure=BROKEN)
    attempt, record = left_behind(world)
    adopt(world, record).join()
    assert ended(attempt).failure == BROKEN


def test_what_was_killed_while_no_executor_was_there_is_reported_as_killed(world: World) -> None:
    world.backend.outcome = KILLED
    attempt, record = left_behind(world)
    adopt(world, record).join()
    failure = ended(attempt).failure
    assert failure is not None
    assert failure.reason is FailureReason.KILLED


def test_what_was_killed_while_no_executor_was_there_is_salvaged(world: World) -> None:
    world.backend.outcome = KILLED
    world.backend.left = AttemptResult(verdict=Verdict.SUCCEEDED)
    attempt, record = left_behind(world)
    adopt(world, record).join()
    assert ended(attempt).verdict is Verdict.SUCCEEDED


def test_an_adopted_attempt_that_is_not_ours_any_more_is_killed_at_once(world: World) -> None:
    world.backend.is_ending = False
    attempt, record = left_behind(world)
    attempt.stale = True
    thread = adopt(world, record)
    assert world.backend.launched().killed.wait(1.0)
    thread.join()
    assert attempt.ended is None
    assert list(world.attempts.folders.left()) == []
