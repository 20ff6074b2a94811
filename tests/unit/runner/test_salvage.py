# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a supervisor left when it was killed is delivered by another one, and never as more than it was."""

from __future__ import annotations

from pathlib import Path

import msgspec

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.assignments import GIVEN_UP_FILE, Assignment, AttemptResult
from animus_contracts.executions import Verdict
from animus_contracts.run_events import ArtifactLogged, MetricLogged, StreamWritten
from animus_contracts.runs import Failure, FailureReason
from animus_runner.execution import Observer
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome
from animus_runner.publishing import EXECUTED_FILE, SETTLED_FILE
from animus_runner.spool import EVENTS_FILE
from animus_runner.supervisor import supervise
from tests.unit.runner.supervision import NOW, SECRET, Act, World, an_outcome, say, write_notebook


def killed_after(world: World, act: Act) -> tuple[Assignment, AttemptResult]:
    """Supervise a run, and forget everything that was delivered: as if it had been killed before it delivered."""
    assignment = world.assignment(world.plan())
    result = supervise(assignment, act)
    assert world.attempt is not None
    world.attempt.events.clear()
    world.simulator.objects.clear()
    return msgspec.structs.replace(assignment, is_remainder=True), result


def tells_and_leaves(task: NotebookAssignment, observe: Observer, _: Cancellation) -> Outcome:
    write_notebook(task)
    observe(StreamWritten(sequence=0, at=NOW, cell_id="c", stream="stdout", text=f"token {SECRET}\n"))
    (task.scratch / "plot.png").write_bytes(b"plot")
    say(
        task,
        {"type": "metric", "name": "loss", "step": 1, "value": 0.5},
        {"type": "artifact", "name": "plot.png", "path": str(task.scratch / "plot.png")},
    )
    (task.outputs / "model.bin").write_bytes(b"model")
    return an_outcome()


def refuses(*_: object) -> Outcome:
    raise AssertionError("a remainder must not be executed")


def test_what_was_settled_is_delivered_as_it_was_by_another_supervisor(world: World) -> None:
    remainder, before = killed_after(world, tells_and_leaves)

    assert supervise(remainder, refuses) == before

    assert world.attempt is not None
    assert [type(event) for event in world.attempt.events] == [StreamWritten, MetricLogged, ArtifactLogged]
    artifacts = world.artifacts(before)
    assert artifacts["model.bin"] == (ArtifactKind.OUTPUT, b"model")
    assert supervise(remainder, refuses) == before


def test_of_what_was_not_settled_everything_whole_is_kept_and_the_run_failed(world: World) -> None:
    remainder, _ = killed_after(world, tells_and_leaves)
    run = Path(remainder.run_folder)
    (run / SETTLED_FILE).unlink()
    (run / EXECUTED_FILE).write_text('{"cells": [')
    with (run / EVENTS_FILE).open("ab") as events:
        events.write(b'{"type":"metric.log')

    result = supervise(remainder, refuses)

    assert result.failure is not None
    assert (result.verdict, result.failure.reason) == (Verdict.FAILED, FailureReason.KILLED)
    artifacts = world.artifacts(result)
    assert set(artifacts) == {"model.bin", "plot.png", "run.log"}
    assert artifacts["plot.png"] == (ArtifactKind.LOGGED, b"plot")
    assert SECRET not in artifacts["run.log"][1].decode()
    assert world.attempt is not None
    assert [event.sequence for event in world.attempt.events] == [1, 2, 3]


def test_a_run_that_was_given_up_failed_for_the_reason_that_was_noted(world: World) -> None:
    remainder, _ = killed_after(world, tells_and_leaves)
    run = Path(remainder.run_folder)
    (run / SETTLED_FILE).unlink()
    given_up = Failure(reason=FailureReason.INFRASTRUCTURE, summary="Nobody came back.")
    (run / GIVEN_UP_FILE).write_bytes(msgspec.json.encode(given_up))

    result = supervise(remainder, refuses)

    assert (result.verdict, result.failure) == (Verdict.FAILED, given_up)
    assert {"model.bin", "plot.png"} < set(world.artifacts(result))


def test_what_was_settled_before_it_was_given_up_keeps_its_verdict(world: World) -> None:
    remainder, before = killed_after(world, tells_and_leaves)
    given_up = Failure(reason=FailureReason.INFRASTRUCTURE, summary="Nobody came back.")
    Path(remainder.run_folder, GIVEN_UP_FILE).write_bytes(msgspec.json.encode(given_up))
    assert supervise(remainder, refuses) == before


def test_of_a_supervisor_that_had_hardly_begun_nothing_is_left_but_its_failure(world: World) -> None:
    remainder = msgspec.structs.replace(world.assignment(world.plan()), is_remainder=True)
    result = supervise(remainder, refuses)
    assert result.failure is not None
    assert (result.failure.reason, result.artifacts) == (FailureReason.KILLED, [])


def test_half_of_what_was_settled_counts_as_nothing(world: World) -> None:
    remainder, _ = killed_after(world, tells_and_leaves)
    settled = Path(remainder.run_folder, SETTLED_FILE)
    settled.write_bytes(settled.read_bytes()[:40])
    result = supervise(remainder, refuses)
    assert result.failure is not None
    assert result.failure.reason is FailureReason.KILLED
