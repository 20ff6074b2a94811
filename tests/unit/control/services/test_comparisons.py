# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two runs compared: inputs at once, outputs by a task, a replay's verdict by itself; never across projects."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from animus_contracts.answers import AnswerState
from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.comparisons import Comparison, CreateComparison, Match, ReplayRun, Timing, Tolerances
from animus_contracts.executions import Verdict
from animus_contracts.pages import ComparisonListQuery
from animus_contracts.runs import CancelRun, Failure, FailureReason, Run, RunState
from animus_contracts.tasks import TaskFailed
from animus_control.domain.comparisons import OUTSIDE, obstacle
from animus_control.domain.errors import ConflictError, InvalidError, MissingError
from animus_control.services.objects import Content
from animus_control.services.repeats import repetitions_of
from tests.fakes.puppet import A_PROVENANCE
from tests.unit.control.services.checks import a_verdict, answer, end_task, leased_task
from tests.unit.control.services.desk import ED, LOCAL, VIC, Desk

BROKE = Failure(reason=FailureReason.INFRASTRUCTURE, summary="The machine is gone.")
RAISED = Failure(reason=FailureReason.USER_CODE, summary="It raised.")


def finished(desk: Desk, run: Run, failure: Failure | None = None, *, body: bytes = b"model", **more: Any) -> Run:
    lease = desk.leased()
    assert lease.run_id == run.run_id
    desk.start(lease)
    files = [desk.product(lease, body), log_of(desk.product(lease, body + b"log"))]
    verdict = Verdict.FAILED if failure else Verdict.SUCCEEDED
    desk.end(lease, verdict, failure, artifacts=files, provenance=A_PROVENANCE, **more)
    return desk.run(run)


def log_of(entry: ArtifactEntry) -> ArtifactEntry:
    return msgspec.structs.replace(entry, name="run.log", kind=ArtifactKind.LOG)


def two(desk: Desk) -> tuple[Run, Run]:
    desk.project()
    message = desk.submission(seed=1)
    left = finished(desk, desk.submit(message))
    changed = msgspec.structs.replace(message, seed=2)
    return left, finished(desk, desk.submit(changed), body=b"other")


def compare(desk: Desk, left: Run, right: Run, **changes: Any) -> Comparison:
    message = CreateComparison(left=left.run_id, right=right.run_id, **changes)
    made: Comparison = desk.do(ED, "comparisons.create", message, project=changes.pop("project", "demo"))
    return made


def read(desk: Desk, comparison: Comparison) -> Comparison:
    found: Comparison = desk.do(VIC, "comparisons.read", project="demo", comparison=comparison.comparison_id)
    return found


def replayed(desk: Desk, run: Run) -> tuple[Run, Comparison]:
    made: Run = desk.do(ED, "runs.replay", ReplayRun(), project="demo", run=run.run_id)
    listed = desk.do(VIC, "comparisons.list", ComparisonListQuery(left=run.run_id), project="demo").items
    (comparison,) = [each for each in listed if each.verifies == made.run_id]
    return made, comparison


def test_inputs_are_told_at_once_and_outputs_when_they_were_compared(any_desk: Desk) -> None:
    desk = any_desk
    left, right = two(desk)

    asked = compare(desk, left, right, tolerances=Tolerances(absolute=0.5))

    assert [difference.field for difference in asked.inputs] == ["seed"]
    assert asked.timings == [Timing(name=name, left_seconds=0.0, right_seconds=0.0) for name in ("waiting", "running")]
    assert (asked.state, asked.outputs) == (AnswerState.PENDING, None)
    lease = answer(desk, a_verdict(Match.DIFFERENT))
    assert lease.comparison is not None
    sides = (lease.comparison.left, lease.comparison.right)
    assert [side.facts.run.run_id for side in sides] == [left.run_id, right.run_id]
    assert [[(file.entry.name, file.path) for file in side.artifacts] for side in sides] == [[("model.bin", None)]] * 2
    assert lease.comparison.tolerances == Tolerances(absolute=0.5)
    ended = read(desk, asked)
    assert (ended.state, ended.outputs, ended.inputs) == (
        AnswerState.ANSWERED, a_verdict(Match.DIFFERENT), asked.inputs,
    )  # fmt: skip
    (record,) = [record for record in desk.audit() if record.action == "comparison.ended"]
    assert (record.details["verdict"], record.details["left"], record.actor) == (
        "different", left.run_id, "executor:local",
    )  # fmt: skip


def test_a_task_reads_the_bytes_of_its_two_runs_and_no_others(desk: Desk) -> None:
    left, right = two(desk)
    secret = desk.upload(b"another file of the same project")
    compare(desk, left, right)
    lease = leased_task(desk)
    assert lease is not None
    assert lease.comparison is not None
    entry = lease.comparison.left.artifacts[0].entry

    found = desk.do(LOCAL, "tasks.object", task=lease.task_id, digest=entry.digest)

    assert found == Content(digest=entry.digest, size_bytes=entry.size_bytes, name=entry.digest)
    with pytest.raises(MissingError):
        desk.do(LOCAL, "tasks.object", task=lease.task_id, digest=secret.digest)
    end_task(desk, lease, a_verdict())
    with pytest.raises(MissingError):
        desk.do(LOCAL, "tasks.object", task=lease.task_id, digest=entry.digest)


def test_a_run_is_not_compared_with_itself(desk: Desk) -> None:
    left, _ = two(desk)
    with pytest.raises(InvalidError, match="another run"):
        compare(desk, left, left)


def test_runs_of_two_projects_are_not_compared(desk: Desk) -> None:
    left, right = two(desk)
    desk.project("other")
    message = CreateComparison(left=left.run_id, right=right.run_id)
    with pytest.raises(MissingError):
        desk.do(ED, "comparisons.create", message, project="other")


def test_a_run_that_has_not_ended_is_not_compared(desk: Desk) -> None:
    left, _ = two(desk)
    waiting = desk.submit(desk.submission())
    with pytest.raises(ConflictError, match="queued"):
        compare(desk, left, waiting)


def test_a_tolerance_below_zero_is_refused(desk: Desk) -> None:
    left, right = two(desk)
    with pytest.raises(InvalidError, match=r"\$\.tolerances\.relative"):
        compare(desk, left, right, tolerances=Tolerances(relative=-1.0))


def test_a_replay_that_ended_is_compared_by_itself_and_the_verdict_is_in_its_story(any_desk: Desk) -> None:
    desk = any_desk
    left, _ = two(desk)
    replay, waiting = replayed(desk, left)
    assert (waiting.state, leased_task(desk)) == (AnswerState.PENDING, None)

    finished(desk, replay)
    answer(desk, a_verdict())

    ended = read(desk, waiting)
    assert (ended.outputs, ended.inputs, ended.right_run_id) == (a_verdict(), [], replay.run_id)
    events = desk.read(lambda uow: uow.events.after(replay.project_id, 0, run_id=replay.run_id, kind="run.compared"))
    assert [event.data["verdict"] for event in events] == ["identical"]
    story = desk.do(VIC, "runs.explain", project="demo", run=left.run_id)
    assert ([run.run_id for run in story.repetitions], story.comparisons) == ([replay.run_id], [ended])


def test_a_replay_that_fails_in_its_notebook_is_compared_too(desk: Desk) -> None:
    left, _ = two(desk)
    replay, waiting = replayed(desk, left)

    finished(desk, replay, RAISED)

    answer(desk, a_verdict(Match.DIFFERENT))
    assert read(desk, waiting).outputs == a_verdict(Match.DIFFERENT)


def test_a_replay_that_never_got_to_its_notebook_is_incomparable_at_once(desk: Desk) -> None:
    left, _ = two(desk)
    replay, waiting = replayed(desk, left)

    finished(desk, replay, BROKE)

    outputs = read(desk, waiting).outputs
    assert outputs is not None
    assert outputs.verdict is Match.INCOMPARABLE
    assert "The machine is gone." in outputs.causes[0].evidence
    assert leased_task(desk) is None


def test_a_canceled_replay_is_incomparable(desk: Desk) -> None:
    left, _ = two(desk)
    replay, waiting = replayed(desk, left)

    desk.do(ED, "runs.cancel", CancelRun(), project="demo", run=replay.run_id)

    outputs = read(desk, waiting).outputs
    assert outputs is not None
    assert (outputs.verdict, "canceled" in outputs.notes[0]) == (Match.INCOMPARABLE, True)


def test_the_verdict_on_a_replay_that_is_retried_waits_for_the_retry(desk: Desk) -> None:
    desk.project()
    left = finished(desk, desk.submit(desk.submission(retries=1)))
    replay, waiting = replayed(desk, left)
    finished(desk, replay, BROKE)
    (retry,) = desk.read(lambda uow: repetitions_of(uow, replay, limit=9))
    assert (read(desk, waiting).state, read(desk, waiting).right_run_id) == (AnswerState.PENDING, retry.run_id)
    desk.later(60)
    desk.write(lambda uow: uow.queue.release(desk.now))

    finished(desk, retry)
    answer(desk, a_verdict())

    ended = read(desk, waiting)
    assert (ended.verifies, ended.right_run_id, ended.outputs) == (replay.run_id, retry.run_id, a_verdict())


def test_a_replay_nobody_wants_verified_is_not_compared(desk: Desk) -> None:
    left, _ = two(desk)
    replay: Run = desk.do(ED, "runs.replay", ReplayRun(verify=False), project="demo", run=left.run_id)

    finished(desk, replay)

    assert leased_task(desk) is None
    assert desk.do(VIC, "comparisons.list", ComparisonListQuery(), project="demo").items == []


def test_a_comparison_that_nobody_could_make_says_so(desk: Desk) -> None:
    left, right = two(desk)
    asked = compare(desk, left, right)

    answer(desk, TaskFailed(reason="too large for this machine", is_final=True))

    ended = read(desk, asked)
    assert (ended.state, ended.outputs, ended.failure) == (AnswerState.FAILED, None, "too large for this machine")


@pytest.mark.parametrize("reason", FailureReason)
def test_only_what_is_not_the_notebooks_doing_is_an_obstacle(desk: Desk, reason: FailureReason) -> None:
    run = desk.submit()
    failed = msgspec.structs.replace(run, state=RunState.FAILED, failure=Failure(reason=reason, summary="It ended."))
    assert bool(obstacle(failed)) is (reason in OUTSIDE)
