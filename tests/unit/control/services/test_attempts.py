# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An attempt from lease to end: one holder, one start, events in order, one end, all at once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.audit import Outcome
from animus_contracts.digests import Digest, digest_bytes, digest_of
from animus_contracts.executions import ExecutionState, Lease, Provenance, RenewCredentials, Verdict
from animus_contracts.identifiers import ExecutionId
from animus_contracts.pages import ListQuery
from animus_contracts.run_events import (
    CellEnded,
    CellStarted,
    MetricLogged,
    NotebookStarted,
    ReportEvents,
    StreamWritten,
)
from animus_contracts.runs import Failure, FailureReason, Limitation, Progress, RunClass, RunState
from animus_control.domain.errors import AnimusError, ConflictError, DeniedError, InvalidError, MissingError
from animus_control.domain.identity import Principal
from animus_control.services import artifacts, executions
from animus_control.services.tokens import token_hash
from tests.unit.control.moments import NOW
from tests.unit.control.services.desk import LOCAL, REMOTE, VIC, Desk, runner_of

BROKE = Failure(reason=FailureReason.USER_CODE, summary="It broke.")
PROVENANCE = Provenance(
    tree="1" * 40, notebook_digest=digest_bytes(b"nb"), python="3.11.7", implementation="CPython", platform="Linux",
    packages={"numpy": "1.26.4"}, environment={"PYTHONHASHSEED": "0"}, limitations=[],
)  # fmt: skip
EVENTS = [
    NotebookStarted(sequence=1, at=NOW, cells_total=2),
    CellStarted(sequence=2, at=NOW, cell_id="a", cell_index=0),
    StreamWritten(sequence=3, at=NOW, cell_id="a", stream="stdout", text="hello\n"),
    MetricLogged(sequence=4, at=NOW, name="accuracy", step=1, value=0.5),
    CellEnded(sequence=5, at=NOW, cell_id="a", cell_index=0, seconds=0.1, status="ok"),
    CellStarted(sequence=6, at=NOW, cell_id="b", cell_index=1),
]


def code_of(action: Any, *arguments: Any, **more: Any) -> str:
    with pytest.raises(AnimusError) as caught:
        action(*arguments, **more)
    return caught.value.code


# Lease


def test_lease_carries_the_plan_and_a_token_stored_only_as_its_digest(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()

    lease = desk.leased()

    assert (lease.run_id, lease.attempt, lease.epoch, lease.plan_digest) == (run.run_id, 1, 1, run.plan_digest)
    assert desk.run(run).state is RunState.DISPATCHING
    assert desk.lease() is None
    assert desk.read(lambda uow: uow.tokens.find(lease.dispatch_token)) is None
    stored = desk.read(lambda uow: uow.tokens.find(token_hash(lease.dispatch_token)))
    assert stored is not None
    assert (stored.kind, stored.epoch) == ("dispatch", 1)
    assert lease.dispatch_token not in msgspec.json.encode(desk.audit()).decode()


def test_longest_waiting_run_is_leased_first(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    runs = []
    for _ in range(3):
        runs.append(desk.submit(message).run_id)
        desk.later(1)

    assert [desk.leased().run_id for _ in runs] == runs


def test_production_run_is_not_given_to_an_executor_that_lacks_protection(desk: Desk) -> None:
    desk.project()
    production = desk.submit(desk.submission(run_class=RunClass.PRODUCTION, seed=1))
    development = desk.submit(desk.submission())

    first = desk.lease(LOCAL, Limitation.NETWORK_NOT_ISOLATED)
    assert first is not None
    assert first.run_id == development.run_id
    assert desk.lease(LOCAL, Limitation.NETWORK_NOT_ISOLATED) is None
    assert desk.leased().run_id == production.run_id


# Start


def test_start_gives_a_run_token_and_the_run_runs(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()
    lease = desk.leased()
    desk.later(2)

    token = desk.start(lease, LOCAL, Limitation.NETWORK_NOT_ISOLATED)

    started = desk.run(run)
    stored = desk.read(lambda uow: uow.tokens.find(token_hash(token)))
    assert token.startswith("ar_")
    assert stored is not None
    assert (stored.kind, stored.run_id, stored.epoch) == ("run", run.run_id, 1)
    assert (started.state, started.started_at) == (RunState.RUNNING, desk.now)
    assert started.limitations == [Limitation.NETWORK_NOT_ISOLATED, Limitation.SEED_NOT_SET]


def test_repeated_start_kills_the_token_given_before(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    first = desk.start(lease)

    second = desk.start(lease)

    found = [desk.read(lambda uow, token=token: uow.tokens.find(token_hash(token))) for token in (first, second)]
    assert found[0] is None
    assert found[1] is not None
    assert desk.actions().count("execution.started") == 1


def test_start_cannot_be_repeated_after_the_first_report(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.report(lease, EVENTS[0])

    assert code_of(desk.start, lease) == "forbidden"


def renewed(desk: Desk, lease: Lease, who: Principal = LOCAL, **changes: Any) -> str:
    message = RenewCredentials(**{"epoch": lease.epoch} | changes)
    token: str = desk.do(who, "executions.renew", message, execution=lease.execution_id).run_token
    return token


def test_a_renewed_token_replaces_the_one_before_although_that_has_reported(any_desk: Desk) -> None:
    desk = any_desk
    desk.submit()
    lease = desk.leased()
    before = desk.start(lease)
    desk.report(lease, EVENTS[0])

    token = renewed(desk, lease)

    stored = desk.read(lambda uow: [uow.tokens.find(token_hash(each)) for each in (before, token)])
    assert stored[0] is None
    assert stored[1] is not None
    assert (stored[1].kind, stored[1].epoch, stored[1].execution_id) == ("run", lease.epoch, lease.execution_id)
    assert desk.report(lease, EVENTS[1]) == 2


def test_no_token_is_renewed_before_the_start_or_after_the_end_or_for_somebody_else(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    codes = []

    def refused(who: Principal = LOCAL, **changes: Any) -> None:
        with pytest.raises(AnimusError) as caught:
            renewed(desk, lease, who, **changes)
        codes.append(caught.value.code)

    refused()
    desk.start(lease)
    refused(REMOTE)
    refused(epoch=lease.epoch + 1)
    desk.end(lease)
    refused()
    assert codes == ["invalid_transition", "not_found", "stale_epoch", "stale_epoch"]


@pytest.mark.parametrize("token", ["", "ad_forged", "ar_forged"])
def test_forged_dispatch_token_starts_nothing_and_is_audited(desk: Desk, token: str) -> None:
    run = desk.submit()
    lease = desk.leased()

    assert code_of(desk.start, lease, dispatch_token=token) == "forbidden"

    record = desk.audit()[-1]
    assert (record.action, record.outcome, record.project_id) == ("token.rejected", Outcome.DENIED, run.project_id)
    assert desk.run(run).state is RunState.DISPATCHING


def test_dispatch_token_of_another_lease_starts_nothing(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    desk.submit(message)
    desk.submit(message)
    one, other = desk.leased(), desk.leased()

    assert code_of(desk.start, one, dispatch_token=other.dispatch_token) == "forbidden"


def test_dispatch_token_expires_with_its_lease(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.later(31)

    assert code_of(desk.start, lease) == "forbidden"


def test_heartbeat_before_the_start_keeps_the_dispatch_token_alive(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    for _ in range(4):
        desk.later(20)
        desk.heartbeat(lease)

    assert desk.start(lease)


def test_executor_reaches_only_its_own_attempts(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()

    assert code_of(desk.start, lease, REMOTE) == "not_found"
    assert code_of(desk.heartbeat, lease, REMOTE) == "not_found"
    assert code_of(desk.end, lease, who=REMOTE) == "not_found"


def test_limitation_found_at_the_start_fails_a_production_run_by_policy(any_desk: Desk) -> None:
    desk = any_desk
    desk.project()
    run = desk.submit(desk.submission(run_class=RunClass.PRODUCTION, seed=1))
    lease = desk.leased()

    with pytest.raises(DeniedError) as caught:
        desk.start(lease, LOCAL, Limitation.MEMORY_NOT_LIMITED)

    failed = desk.run(run)
    decision = desk.do(VIC, "policy_decisions.read", project="demo", decision=caught.value.extra["decision_id"])
    assert failed.failure is not None
    assert (failed.state, failed.failure.reason) == (RunState.FAILED, FailureReason.POLICY)
    assert "platform/production/isolation" in decision.deciding
    assert decision.action == "run:start"
    assert code_of(desk.start, lease) == "stale_epoch"
    assert desk.read(lambda uow: uow.tokens.find(token_hash(lease.dispatch_token))) is None


# Reports


def test_events_become_progress_metrics_and_the_live_story(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    before = len(desk.audit())

    assert desk.report(lease, *EVENTS) == 6

    seen = desk.run(run)
    metrics = desk.do(VIC, "metrics.list", ListQuery(), project="demo", run=run.run_id).items
    story = desk.read(lambda uow: uow.events.after(run.project_id, 0, run_id=run.run_id))
    assert seen.progress == Progress(cells_done=1, cells_total=2, current_cell="b")
    assert [(item.name, item.step, item.value, item.sequence) for item in metrics] == [("accuracy", 1, 0.5, 4)]
    assert [event.type for event in story] == ["run.state"] * 3 + [
        "notebook.started", "cell.started", "stream.written", "metric.logged", "cell.ended", "cell.started",
    ]  # fmt: skip
    assert story[5].data["text"] == "hello\n"
    assert len(desk.audit()) == before


def test_known_events_are_skipped_and_a_gap_is_refused(desk: Desk) -> None:
    run = desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.report(lease, *EVENTS[:4])

    assert code_of(desk.report, lease, EVENTS[5]) == "event_conflict"
    assert desk.report(lease, *EVENTS[:3]) == 4
    assert desk.report(lease, *EVENTS[2:]) == 6
    assert desk.run(run).progress.cells_done == 1
    assert len(desk.do(VIC, "metrics.list", ListQuery(), project="demo", run=run.run_id).items) == 1


@pytest.mark.parametrize("order", [(1, 1), (2, 1), (1, 3)])
def test_events_out_of_order_are_refused_whole(desk: Desk, order: tuple[int, int]) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    events = [NotebookStarted(sequence=number, at=NOW, cells_total=1) for number in order]

    assert code_of(desk.report, lease, *events) == "event_conflict"
    assert desk.report(lease) == 0


@pytest.mark.parametrize("name", ["", "a\x00b", "x" * 513])
def test_metric_needs_a_printable_name(desk: Desk, name: str) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)

    assert (
        code_of(desk.report, lease, MetricLogged(sequence=1, at=NOW, name=name, step=0, value=0)) == "invalid_request"
    )


def test_report_of_too_many_events_is_refused(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.limits = replace(desk.limits, events_per_report=5)

    assert code_of(desk.report, lease, *EVENTS) == "invalid_request"


def test_report_names_the_epoch_of_its_token(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    message = ReportEvents(epoch=lease.epoch + 1, events=EVENTS)

    with pytest.raises(ConflictError) as caught:
        desk.do(runner_of(lease), "executions.report", message, execution=lease.execution_id)

    assert caught.value.code == "stale_epoch"


def test_execution_that_does_not_exist_is_missing(desk: Desk) -> None:
    desk.submit()
    lease = msgspec.structs.replace(desk.leased(), execution_id=ExecutionId("x"))

    assert code_of(desk.report, lease, EVENTS[0]) == "not_found"
    assert code_of(desk.heartbeat, lease) == "not_found"


def test_end_of_too_many_artifacts_is_refused(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    entry = desk.product(lease, b"model")
    desk.limits = replace(desk.limits, artifacts=1)

    assert code_of(desk.end, lease, artifacts=[entry, entry]) == "invalid_request"


def test_nothing_is_reported_before_the_start(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()

    assert code_of(desk.report, lease, EVENTS[0]) == "stale_epoch"


def test_run_fetches_its_own_inputs_and_nothing_else_of_the_project(desk: Desk) -> None:
    desk.project()
    version = desk.version()
    other = desk.upload(b"not bound")
    desk.submit(desk.submission(datasets={"train": version.version_id}))
    lease = desk.leased()
    desk.start(lease)

    def fetched(digest: str) -> Any:
        path = {"execution": lease.execution_id, "digest": digest}
        return desk.stream(runner_of(lease), "executions.input", executions.input_for_fetch, **path)

    assert fetched(version.files[0].digest) == version.files[0]
    with pytest.raises(MissingError):
        fetched(other.digest)


# Heartbeat and cancel


def test_heartbeat_renews_lease_and_token(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    token = desk.start(lease)
    desk.later(25)

    reply = desk.heartbeat(lease)

    stored = desk.read(lambda uow: uow.tokens.find(token_hash(token)))
    execution = desk.read(lambda uow: uow.executions.get(lease.execution_id))
    assert (reply.lease_seconds, reply.token_expires_in_seconds, reply.cancel) == (30, 300, False)
    assert stored is not None
    assert stored.expires_at == desk.now + desk.limits.run_token
    assert execution is not None
    assert execution.lease_expires_at == desk.now + desk.limits.lease


def test_older_epoch_is_heard_no_more(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    stale = msgspec.structs.replace(lease, epoch=0)

    assert code_of(desk.heartbeat, stale) == "stale_epoch"
    assert code_of(desk.report, stale, EVENTS[0]) == "stale_epoch"
    assert code_of(desk.end, stale) == "stale_epoch"


# End


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
    downloaded = desk.stream(VIC, "artifacts.download", artifacts.for_download, **path, artifact=artifact.artifact_id)
    assert downloaded == artifact
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
        desk.stream(
            VIC, "artifacts.download", artifacts.for_download,
            project="demo", run=other.run_id, artifact=artifact.artifact_id,
        )  # fmt: skip


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
