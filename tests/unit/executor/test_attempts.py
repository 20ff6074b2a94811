# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every attempt gets exactly one verdict, the executor's; a lost one gets none."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import msgspec
import pytest

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.assignments import SUPERVISOR_LOG, AttemptResult
from animus_contracts.digests import digest_bytes
from animus_contracts.executions import EndExecution, Verdict
from animus_contracts.runs import FailureReason, Limitation
from animus_executor import handles
from animus_executor.installation import UnrealisableError
from animus_executor.kernel_parents import KernelParentError
from animus_executor.verdicts import end_patiently
from tests.fakes.backend import KILLED
from tests.fakes.control_plane import EXECUTOR_TOKEN
from tests.fakes.plans import a_plan
from tests.patience import until
from tests.unit.executor.one_slot import BROKEN, CANCELED, OFFLINE_SECONDS, World, ended


def test_the_supervisors_result_becomes_the_verdict(world: World) -> None:
    world.backend.outcome = AttemptResult(verdict=Verdict.FAILED, failure=BROKEN)
    attempt = world.run()
    execution = attempt.lease.execution_id
    assert ended(attempt) == EndExecution(
        event_id=f"{execution}.1.end", epoch=1, verdict=Verdict.FAILED, failure=BROKEN
    )
    until(lambda: world.attempts.active == {})


def test_an_attempt_gets_its_plan_and_run_token_and_never_the_executors_token(world: World) -> None:
    attempt = world.run()
    assignment = world.backend.launched().assignment
    assert (assignment.plan, assignment.plan_digest) == (attempt.lease.plan, attempt.lease.plan_digest)
    assert assignment.run_token.startswith("ar_")
    assert EXECUTOR_TOKEN.encode() not in msgspec.json.encode(assignment)
    assert assignment.run_token not in repr(assignment)
    assert attempt.started is not None
    assert attempt.started.limitations == [Limitation.MEMORY_NOT_LIMITED]
    assert world.simulator.lease_requests[0].limitations == [Limitation.MEMORY_NOT_LIMITED]


def test_a_supervisor_without_a_result_was_killed_and_its_last_words_are_told(world: World) -> None:
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    attempt = world.backend.launched()
    (Path(attempt.assignment.run_folder) / SUPERVISOR_LOG).write_text("out of memory\n")
    attempt.end(KILLED)
    failure = ended(world.simulator.ended(plan.run_id, 10.0)).failure
    assert failure is not None
    assert (failure.reason, failure.detail) == (FailureReason.KILLED, "out of memory\n")


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnrealisableError("no wheels", remedy="lock again"), FailureReason.ENVIRONMENT),
        (KernelParentError("status 1"), FailureReason.ENVIRONMENT),
    ],
    ids=["lock", "kernel"],
)
def test_an_environment_that_cannot_be_had_fails_the_run_before_it_starts(
    world: World, error: Exception, reason: FailureReason
) -> None:
    world.prepared.error = error
    attempt = world.run()
    failure = ended(attempt).failure
    assert failure is not None
    assert failure.reason is reason
    assert failure.remedy
    assert attempt.started is None


def test_a_backend_that_cannot_start_runs_is_infrastructure(world: World) -> None:
    world.backend.error = "no parent"
    failure = ended(world.run()).failure
    assert failure is not None
    assert (failure.reason, failure.detail) == (FailureReason.INFRASTRUCTURE, "no parent")


def test_a_machine_that_refuses_is_infrastructure_and_says_why(world: World) -> None:
    (world.prepared.folder / "data" / "runs").rmdir()
    failure = ended(world.run()).failure
    assert failure is not None
    assert failure.reason is FailureReason.INFRASTRUCTURE
    assert "No such file" in failure.detail


def test_a_canceled_attempt_is_asked_first_and_its_result_counts(world: World) -> None:
    world.backend.is_ending, world.backend.on_cancel = False, CANCELED
    plan = a_plan()
    world.simulator.submit(plan)
    world.simulator.leased(plan.run_id, ready=lambda attempt: attempt.started).cancel = True
    attempt = world.simulator.ended(plan.run_id, 10.0)
    assert ended(attempt).verdict is Verdict.CANCELED
    assert not world.backend.launched().killed.is_set()


def test_a_canceled_attempt_that_does_not_stop_is_killed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(handles, "FORCE_SECONDS", 0.2)
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    world.simulator.leased(plan.run_id, ready=lambda attempt: attempt.started).cancel = True
    attempt = world.simulator.ended(plan.run_id, 10.0)
    assert ended(attempt).verdict is Verdict.CANCELED
    assert world.backend.launched().killed.is_set()


def test_a_run_that_ended_before_its_cancellation_stays_as_it_ended(world: World) -> None:
    world.backend.is_ending, world.backend.on_cancel = False, AttemptResult(verdict=Verdict.SUCCEEDED)
    plan = a_plan()
    world.simulator.submit(plan)
    world.simulator.leased(plan.run_id, ready=lambda attempt: attempt.started).cancel = True
    assert ended(world.simulator.ended(plan.run_id, 10.0)).verdict is Verdict.SUCCEEDED


def test_an_attempt_whose_epoch_is_stale_is_killed_and_reports_nothing(world: World) -> None:
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    attempt = world.simulator.leased(plan.run_id, ready=lambda attempt: attempt.started)
    attempt.stale = True
    assert world.backend.launched().killed.wait(5.0)
    time.sleep(0.3)
    assert attempt.ended is None
    assert "executions.end" not in world.simulator.calls


def test_a_started_attempt_goes_on_through_an_outage_of_several_leases_and_its_end_counts(world: World) -> None:
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    launched = world.backend.launched()
    world.simulator.away.set()
    time.sleep(3 * world.simulator.lease_seconds)
    assert not launched.killed.is_set()
    launched.end(AttemptResult(verdict=Verdict.SUCCEEDED))
    time.sleep(0.2)
    world.simulator.away.clear()
    assert ended(world.simulator.ended(plan.run_id, 10.0)).verdict is Verdict.SUCCEEDED


def test_an_attempt_without_answers_is_killed_when_the_patience_ends_and_reports_nothing(world: World) -> None:
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    launched = world.backend.launched()
    world.simulator.away.set()
    away_since = time.monotonic()
    assert launched.killed.wait(10.0)
    assert OFFLINE_SECONDS - 0.5 < time.monotonic() - away_since < OFFLINE_SECONDS + 1.0
    world.simulator.away.clear()
    time.sleep(0.3)
    assert "executions.end" not in world.simulator.calls


def test_an_attempt_that_cannot_start_is_dropped_when_its_lease_ends(world: World) -> None:
    world.prepared.is_building = True
    plan = a_plan()
    world.simulator.submit(plan)
    attempt = world.simulator.leased(plan.run_id)
    world.simulator.away.set()
    until(lambda: world.attempts.active == {})
    assert (attempt.started, attempt.ended) == (None, None)


def test_an_outage_that_ends_with_a_stale_epoch_kills_the_attempt(world: World) -> None:
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    launched = world.backend.launched()
    world.simulator.away.set()
    time.sleep(2 * world.simulator.lease_seconds)
    world.simulator.leased(plan.run_id).stale = True
    world.simulator.away.clear()
    assert launched.killed.wait(2.0)
    assert world.simulator.leased(plan.run_id).ended is None


def test_an_end_is_repeated_until_it_is_answered_and_counts_once(world: World) -> None:
    world.backend.is_ending = False
    plan = a_plan()
    world.simulator.submit(plan)
    launched = world.backend.launched()
    world.simulator.away.set()
    launched.end(AttemptResult(verdict=Verdict.SUCCEEDED))
    time.sleep(0.3)
    world.simulator.away.clear()
    attempt = world.simulator.ended(plan.run_id, 10.0)
    assert ended(attempt).verdict is Verdict.SUCCEEDED
    assert world.simulator.calls.count("executions.end") > 1


def test_a_result_that_is_not_accepted_becomes_a_failure_that_says_so(world: World) -> None:
    never_uploaded = ArtifactEntry(
        name="m", kind=ArtifactKind.OUTPUT, media_type="text/plain", digest=digest_bytes(b"m"), size_bytes=1
    )
    world.backend.outcome = AttemptResult(verdict=Verdict.SUCCEEDED, artifacts=[never_uploaded])
    end = ended(world.run())
    assert (end.verdict, end.artifacts) == (Verdict.FAILED, [])
    assert end.failure is not None
    assert end.failure.reason is FailureReason.INFRASTRUCTURE
    assert "object_not_found" in end.failure.detail


def test_a_slot_takes_the_next_run_after_one_that_broke(world: World) -> None:
    world.backend.error = "no parent"
    world.run()
    world.backend.error = ""
    assert ended(world.run()).verdict is Verdict.SUCCEEDED


def test_a_control_plane_that_is_away_is_asked_again(world: World) -> None:
    world.run()
    world.simulator.away.set()
    threading.Timer(0.5, world.simulator.away.clear).start()
    assert ended(world.run()).verdict is Verdict.SUCCEEDED


def test_an_attempts_folder_is_removed_with_the_attempt(world: World) -> None:
    world.run()
    until(lambda: list((world.prepared.folder / "data" / "runs").iterdir()) == [])


def test_a_canceled_attempt_is_stopped_while_its_environment_is_built(world: World) -> None:
    world.prepared.is_building = True
    plan = a_plan()
    world.simulator.submit(plan)
    world.simulator.leased(plan.run_id).cancel = True
    attempt = world.simulator.ended(plan.run_id, 10.0)
    assert (attempt.started, ended(attempt).verdict) == (None, Verdict.CANCELED)


def test_an_end_that_is_refused_is_not_repeated(world: World) -> None:
    attempt = world.run()
    before = world.simulator.calls.count("executions.end")
    end_patiently(world.attempts.control_plane, attempt.lease.execution_id, 1, CANCELED, patience=5.0)
    assert world.simulator.calls.count("executions.end") == before + 1
    assert ended(attempt).verdict is Verdict.SUCCEEDED
