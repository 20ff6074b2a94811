# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An attempt ends once, with everything it left or nothing, and is dead from then on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.digests import Digest, digest_bytes, digest_of
from animus_contracts.executions import ExecutionState, Verdict
from animus_contracts.pages import ListQuery
from animus_contracts.runs import Failure, FailureReason, Limitation, RunClass, RunState
from animus_control.domain.errors import ConflictError, InvalidError, MissingError
from animus_control.services.objects import Content
from animus_control.services.tokens import token_hash
from tests.unit.control.services.attempts import BROKE, EVENTS, PROVENANCE, code_of
from tests.unit.control.services.desk import VIC, Desk


def test_end_of_too_many_artifacts_is_refused(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    entry = desk.product(lease, b"model")
    desk.limits = replace(desk.limits, artifacts=1)

    assert code_of(desk.end, lease, artifacts=[entry, entry]) == "invalid_request"


def test_end_makes_everything_visible_at_once(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()
    lease = desk.leased()
    token = desk.start(lease)
    entry = desk.product(lease, b"model")
    path = {"project": "demo", "run": run.run_id}
    assert desk.do(VIC, "artifacts.list", ListQuery(), **path).items == []
    desk.later(9)

    ended = desk.end(lease, artifacts=[entry], provenance=PROVENANCE)

    seen = desk.run(run)
    (artifact,) = desk.do(VIC, "artifacts.list", ListQuery(), **path).items
    story = desk.do(VIC, "runs.explain", **path)
    record = desk.audit(run.project_id)[-1]
    assert (ended.state, ended.duplicate) == (RunState.SUCCEEDED, False)
    assert (seen.state, seen.finished_at, seen.failure) == (RunState.SUCCEEDED, desk.now, None)
    assert (artifact.name, artifact.digest, artifact.attempt) == ("model.bin", entry.digest, 1)
    assert desk.read(lambda uow: uow.tokens.find(token_hash(token))) is None
    assert story.provenance == PROVENANCE
    assert [execution.state for execution in story.executions] == [ExecutionState.ENDED]
    assert f"artifact:{artifact.artifact_id}" in {edge.object for edge in story.lineage}
    assert len(story.audit) == 4
    assert (record.action, record.details["manifest"]) == ("execution.ended", digest_of([entry]))
    downloaded = desk.do(VIC, "artifacts.download", **path, artifact=artifact.artifact_id)
    assert downloaded == Content(digest=artifact.digest, size_bytes=artifact.size_bytes, name=artifact.name)
    assert desk.actions()[-1] == "artifact.downloaded"


def test_same_end_again_changes_nothing(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease)
    before, seen = desk.audit(), desk.run(run)

    assert desk.end(lease).duplicate
    assert (desk.audit(), desk.run(run)) == (before, seen)


def test_another_end_after_the_end_is_refused(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease, Verdict.FAILED, BROKE)

    assert code_of(desk.end, lease, event_id="end-2") == "stale_epoch"
    assert code_of(desk.end, lease) == "event_conflict"
    assert desk.run(run).failure == BROKE


def test_ended_attempt_is_dead_for_every_report(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease)

    assert code_of(desk.heartbeat, lease) == "stale_epoch"
    assert code_of(desk.report, lease, EVENTS[0]) == "stale_epoch"
    assert code_of(desk.start, lease) == "stale_epoch"


def test_attempt_that_never_started_can_fail_but_not_succeed(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()

    assert code_of(desk.end, lease) == "invalid_transition"
    failure = Failure(reason=FailureReason.ENVIRONMENT, summary="No such package.")
    assert desk.end(lease, Verdict.FAILED, failure).state is RunState.FAILED
    assert desk.run(run).failure == failure


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"failure": BROKE}, "contradiction"),
        ({"verdict": Verdict.FAILED}, "contradiction"),
        ({"event_id": ""}, "invalid_event_id"),
        ({"artifacts": [("../x", b"a")]}, "invalid_path"),
        ({"artifacts": [("a", b"a"), ("a", b"b")]}, "duplicate_name"),
    ],
)
def test_contradictory_end_is_refused(desk: Desk, changes: dict[str, Any], fault: str) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    if "artifacts" in changes:
        changes = {"artifacts": [desk.product(lease, body, name) for name, body in changes["artifacts"]]}

    with pytest.raises(InvalidError) as caught:
        desk.end(lease, **changes)

    assert [found.code for found in caught.value.faults] == [fault]
    assert desk.run(run).state is RunState.RUNNING


def test_success_needs_every_promised_output(desk: Desk) -> None:
    desk.project()
    desk.submit(desk.submission(outputs=["model.bin", "report.html"]))
    lease = desk.leased()
    desk.start(lease)
    entry = desk.product(lease, b"model")

    with pytest.raises(InvalidError) as caught:
        desk.end(lease, artifacts=[entry])

    assert [fault.code for fault in caught.value.faults] == ["missing_output"]
    assert desk.end(lease, Verdict.FAILED, BROKE, artifacts=[entry]).state is RunState.FAILED


@pytest.mark.parametrize(
    ("digest", "size"),
    [
        pytest.param("sha256:" + "0" * 64, 5, id="never-uploaded"),
        pytest.param(digest_bytes(b"model"), 6, id="wrong-size"),
    ],
)
def test_artifact_whose_bytes_are_not_held_is_refused(desk: Desk, digest: str, size: int) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.product(lease, b"model")
    entry = ArtifactEntry(name="m", kind=ArtifactKind.OUTPUT, media_type="x/y", digest=Digest(digest), size_bytes=size)

    assert code_of(desk.end, lease, artifacts=[entry]) == "object_not_found"


def test_limitation_found_by_the_end_turns_production_success_into_failure(any_desk: Desk) -> None:
    desk = any_desk
    desk.project()
    run = desk.submit(desk.submission(run_class=RunClass.PRODUCTION, seed=1))
    lease = desk.leased()
    desk.start(lease)
    found = msgspec.structs.replace(PROVENANCE, limitations=[Limitation.MEMORY_NOT_LIMITED])

    assert desk.end(lease, provenance=found).state is RunState.FAILED

    seen = desk.run(run)
    assert seen.failure is not None
    assert (seen.failure.reason, seen.limitations) == (FailureReason.POLICY, [Limitation.MEMORY_NOT_LIMITED])
    assert desk.end(lease, provenance=found).duplicate


def test_artifact_is_reached_only_below_its_own_run(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    run, other = desk.submit(message), desk.submit(message)
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease, artifacts=[desk.product(lease, b"model")])
    (artifact,) = desk.do(VIC, "artifacts.list", ListQuery(), project="demo", run=run.run_id).items

    with pytest.raises(MissingError):
        desk.do(VIC, "artifacts.download", project="demo", run=other.run_id, artifact=artifact.artifact_id)


def test_state_of_an_ended_run_cannot_be_changed_behind_the_services(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.end(lease)
    ended = desk.run(run)
    revived = msgspec.structs.replace(ended, state=RunState.RUNNING, version=ended.version + 1)

    assert not desk.write(lambda uow: uow.runs.compare_and_set(revived, expected_version=ended.version))
    with pytest.raises(ConflictError):
        desk.heartbeat(lease)
