# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who waits for a run's end waits for a retry that is held, too: pipelines, schedules and verified replays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from animus_contracts.answers import AnswerState
from animus_contracts.comparisons import Comparison, Match, ReplayRun
from animus_contracts.executions import Verdict
from animus_contracts.pages import ComparisonListQuery
from animus_contracts.pipeline_runs import CancelPipeline, NodeState, PipelineRun, PipelineState
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import CancelRun, Failure, FailureReason, Run, RunState
from animus_contracts.schedules import CreateSchedule, FiringState, Overlap
from animus_control.domain.identity import SYSTEM
from animus_control.services.firings import fire_due, resume_firings
from animus_control.services.repeats import repetitions_of, resume_retries
from tests.unit.control.services.desk import ADA, ED, VIC, Desk
from tests.unit.control.services.flows import (
    CHAIN,
    FORK,
    fail,
    finish,
    of,
    read,
    rows,
    states,
    submission,
    sweep,
)
from tests.unit.control.services.timetable import firings

BROKE = Failure(reason=FailureReason.INFRASTRUCTURE, summary="The machine is gone.")
WAITS = "the Hub has not said lately to which groups user:mia belongs"
MIA = replace(ED, name="mia", groups=frozenset({"lab"}))
HOUR = 3600


def retried(nodes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: {**node, "retries": 1} for name, node in nodes.items()}


def members(desk: Desk) -> None:
    """Make the project, and Mia an editor of it by her group."""
    desk.project()
    desk.lock()
    binding = PutRoleBinding(subject_type=SubjectType.GROUP, subject="lab", role=Role.EDITOR)
    desk.do(ADA, "role_bindings.put", binding, project="demo")


def submitted(desk: Desk, nodes: dict[str, Any], **more: Any) -> PipelineRun:
    members(desk)
    run: PipelineRun = desk.do(MIA, "pipelines.submit", submission(nodes, **more), project="demo")
    desk.hub_says("mia", {"lab"}, ago=31)
    return run


def tick(desk: Desk, seconds: float = 0) -> None:
    desk.later(seconds)
    call = desk.call(SYSTEM)
    desk.write(lambda uow: (resume_retries(uow, call), fire_due(uow, call), resume_firings(uow, call)))


def release(desk: Desk) -> None:
    """Let the backoff of retries be over."""
    desk.later(10)
    desk.write(lambda uow: uow.queue.release(desk.now))


def retries_of(desk: Desk, run_id: str | None) -> list[Run]:
    run = of(desk, run_id)
    return desk.read(lambda uow: repetitions_of(uow, run, limit=10))


def test_followers_of_a_node_whose_retry_is_held_wait_and_go_on_with_what_the_retry_made(any_desk: Desk) -> None:
    desk = any_desk
    run = submitted(desk, retried(CHAIN))
    fail(desk, BROKE)

    row = rows(desk, run)[0]
    assert (row.state, row.reason) == (NodeState.RUNNING, f"its run failed, and the retry waits: {WAITS}")
    assert (of(desk, row.run_id).state, sweep(desk)) == (RunState.FAILED, 0)
    assert states(desk, run) == {"prepare": "running", "train": "waiting", "evaluate": "waiting"}

    desk.hub_says("mia", {"lab"})
    tick(desk)
    followed = rows(desk, run)[0]
    assert [each.run_id for each in retries_of(desk, row.run_id)] == [followed.run_id]
    assert (followed.state, followed.reason) == (NodeState.RUNNING, "")
    release(desk)
    desk.hub_says("mia", {"lab"})
    for name, made in (("prepare", "clean.csv"), ("train", "model.bin"), ("evaluate", "")):
        assert finish(desk, *filter(None, [made])) == name
    assert read(desk, run).state is PipelineState.SUCCEEDED


@pytest.mark.parametrize(("groups", "seconds"), [(set(), 60), (None, 60), ({"lab"}, HOUR + 1)])
def test_a_node_whose_held_retry_is_refused_has_failed_and_its_followers_are_skipped(
    desk: Desk, groups: set[str] | None, seconds: float
) -> None:
    run = submitted(desk, retried(CHAIN))
    fail(desk, BROKE)
    desk.later(seconds)
    desk.hub_says("mia", groups)
    tick(desk)

    assert states(desk, run) == {"prepare": "failed", "train": "skipped", "evaluate": "skipped"}
    ended = read(desk, run)
    assert (ended.state, rows(desk, run)[0].reason) == (PipelineState.FAILED, BROKE.summary)


def test_what_else_goes_on_in_the_pipeline_run_does_not_end_a_node_whose_retry_is_held(desk: Desk) -> None:
    run = submitted(desk, retried(FORK))
    assert fail(desk, BROKE) == "a"
    assert finish(desk) == "b"
    version = read(desk, run).version
    assert states(desk, run) == {"a": "running", "b": "succeeded", "c": "waiting"}
    assert (sweep(desk), read(desk, run).version) == (0, version)


def test_a_pipeline_run_that_is_canceled_ends_at_once_and_makes_no_retry_that_was_held(desk: Desk) -> None:
    run = submitted(desk, retried(CHAIN))
    fail(desk, BROKE)

    ended = desk.do(
        MIA, "pipelines.cancel", CancelPipeline(reason="enough"), project="demo", pipeline=run.pipeline_run_id
    )

    assert (ended.state, states(desk, run)) == (
        PipelineState.CANCELED, {"prepare": "failed", "train": "canceled", "evaluate": "canceled"},
    )  # fmt: skip
    desk.hub_says("mia", {"lab"})
    tick(desk)
    assert retries_of(desk, rows(desk, run)[0].run_id) == []
    assert desk.actions()[-1] == "pipeline.ended"


def test_a_canceled_run_of_a_node_whose_retry_is_held_fails_the_node(desk: Desk) -> None:
    run = submitted(desk, retried(CHAIN))
    fail(desk, BROKE)
    desk.do(MIA, "runs.cancel", CancelRun(), project="demo", run=rows(desk, run)[0].run_id)

    assert states(desk, run) == {"prepare": "failed", "train": "skipped", "evaluate": "skipped"}


def test_a_pipeline_run_that_fails_fast_withdraws_the_retries_that_are_held_in_it(desk: Desk) -> None:
    run = submitted(desk, retried(FORK), on_failure="fail_fast")
    fail(desk, BROKE)
    assert fail(desk) == "b"

    assert states(desk, run) == {"a": "failed", "b": "failed", "c": "skipped"}
    assert read(desk, run).state is PipelineState.FAILED
    assert desk.actions().count("run.retry_withdrawn") == 1


@pytest.mark.parametrize(("seconds", "groups"), [(HOUR + 1, {"lab"}), (1, set())], ids=["too-late", "refused"])
def test_of_two_retries_held_in_a_pipeline_run_that_fails_fast_the_second_is_withdrawn_by_the_refusal_of_the_first(
    desk: Desk, seconds: float, groups: set[str]
) -> None:
    run = submitted(desk, retried(FORK), on_failure="fail_fast")
    assert [fail(desk, BROKE), fail(desk, BROKE)] == ["a", "b"]
    assert states(desk, run) == {"a": "running", "b": "running", "c": "waiting"}
    desk.later(seconds)
    desk.hub_says("mia", groups)
    tick(desk)

    told = [action for action in desk.actions() if action.startswith("run.retry_")]
    assert told == ["run.retry_held", "run.retry_held", "run.retry_refused", "run.retry_withdrawn"]
    assert states(desk, run) == {"a": "failed", "b": "failed", "c": "skipped"}


def scheduled(desk: Desk, overlap: Overlap) -> Run:
    """Let a run of Mia's schedule fail so that its retry is held, and the schedule be due again."""
    members(desk)
    message = desk.submission(retries=1)
    own = PutRoleBinding(subject_type=SubjectType.USER, subject="mia", role=Role.EDITOR)
    desk.do(ADA, "role_bindings.put", own, project="demo")
    wanted = CreateSchedule(name="nightly", cron="* * * * *", submission=message, overlap=overlap)
    desk.do(MIA, "schedules.create", wanted, project="demo")
    tick(desk, 60)
    lease = desk.leased()
    desk.start(lease)
    desk.hub_says("mia", {"lab"}, ago=31)
    desk.end(lease, Verdict.FAILED, BROKE)
    desk.later(60)
    return of(desk, lease.run_id)


NEXT = {
    Overlap.SKIP: (FiringState.SKIPPED, True),
    Overlap.ALLOW: (FiringState.FIRED, True),
    Overlap.CANCEL_PREVIOUS: (FiringState.FIRED, False),
}
"""What becomes of the next firing, and whether the retry is still held then."""


@pytest.mark.parametrize("overlap", Overlap)
def test_a_run_whose_retry_is_held_is_under_way_to_the_schedule_that_submitted_it(desk: Desk, overlap: Overlap) -> None:
    run = scheduled(desk, overlap)
    call = desk.call(SYSTEM)
    if overlap is not Overlap.SKIP:
        desk.hub_says("mia", {"lab"})
    desk.write(lambda uow: fire_due(uow, call))

    held = desk.read(lambda uow: uow.held_retries.get(run.project_id, run.run_id))
    assert (firings(desk)[0].state, held is not None) == NEXT[overlap]


def replayed(desk: Desk) -> Run:
    """Let a verified replay fail so that its retry is held."""
    members(desk)
    run = desk.submit(desk.submission(retries=1), MIA)
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease)
    replay: Run = desk.do(MIA, "runs.replay", ReplayRun(verify=True), project="demo", run=run.run_id)
    desk.hub_says("mia", {"lab"}, ago=31)
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease, Verdict.FAILED, BROKE, event_id="end-2")
    return replay


def verdict_on(desk: Desk, replay: Run) -> Comparison:
    listed = desk.do(VIC, "comparisons.list", ComparisonListQuery(), project="demo").items
    (comparison,) = [each for each in listed if each.verifies == replay.run_id]
    found: Comparison = comparison
    return found


def test_the_verdict_on_a_replay_waits_for_its_held_retry_and_is_about_that_one(desk: Desk) -> None:
    replay = replayed(desk)
    waiting = verdict_on(desk, replay)
    assert (waiting.state, waiting.right_run_id) == (AnswerState.PENDING, replay.run_id)

    desk.hub_says("mia", {"lab"})
    tick(desk)

    (made,) = retries_of(desk, replay.run_id)
    assert verdict_on(desk, replay) == msgspec.structs.replace(waiting, right_run_id=made.run_id)


def test_a_replay_whose_held_retry_is_refused_cannot_be_compared(desk: Desk) -> None:
    replay = replayed(desk)
    desk.hub_says("mia", set())
    tick(desk)

    verdict = verdict_on(desk, replay)
    assert verdict.outputs is not None
    assert (verdict.state, verdict.outputs.verdict) == (AnswerState.ANSWERED, Match.INCOMPARABLE)
