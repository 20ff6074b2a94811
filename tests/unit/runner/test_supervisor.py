# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run succeeds only when everything promised is there; whatever else happens has a reason and its remains."""

from __future__ import annotations

import json
import os
import resource
import signal
import threading

import msgspec
import pytest

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.assignments import AttemptResult
from animus_contracts.datasets import FileEntry, content_digest
from animus_contracts.digests import digest_bytes
from animus_contracts.executions import Verdict
from animus_contracts.identifiers import DatasetVersionId
from animus_contracts.plans import PlannedInput
from animus_contracts.run_events import ArtifactLogged, CellStarted, MetricLogged, NotebookStarted, StreamWritten
from animus_contracts.runs import CodeRef, Failure, FailureReason
from animus_runner.execution import Observer
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome
from animus_runner.provenance import cpu_model
from animus_runner.supervisor import supervise
from animus_runner.token_life import TokenLife
from tests.unit.runner.supervision import NOW, SECRET, World, an_outcome, never, works, write_notebook


def test_a_run_that_keeps_its_promises_succeeds_with_everything_it_left(world: World) -> None:
    result = world.supervise(works, outputs=["model.pkl"])
    assert (result.verdict, result.failure) == (Verdict.SUCCEEDED, None)
    found = world.artifacts(result)
    assert {name: kind for name, (kind, _) in found.items()} == {
        "train.ipynb": ArtifactKind.NOTEBOOK,
        "run.log": ArtifactKind.LOG,
        "model.pkl": ArtifactKind.OUTPUT,
        "plot.png": ArtifactKind.LOGGED,
        "provenance.json": ArtifactKind.PROVENANCE,
    }
    assert found["run.log"][1] == b"--- cell 0 (c)\n4\n"
    assert (found["model.pkl"][1], found["plot.png"][1]) == (b"model", b"plot")


def test_its_provenance_names_what_it_ran_with(world: World) -> None:
    result = world.supervise(works, seed=7)
    provenance = result.provenance
    assert provenance is not None
    assert provenance.tree == world.repository.git("rev-parse", "HEAD^{tree}")
    assert provenance.notebook_digest == digest_bytes(b"{}")
    assert (provenance.python, provenance.packages, provenance.peak_memory_mib) == ("3.11.7", {"x": "1"}, 12.5)
    assert provenance.environment == {"A": "1"}
    assert (provenance.extra["seed"], provenance.extra["seeds"]) == (7, [11])
    assert (provenance.extra["cpu_count"], provenance.extra["cpu_model"]) == (os.cpu_count(), cpu_model())
    written = json.loads(world.artifacts(result)["provenance.json"][1])
    assert written["provenance"] == msgspec.to_builtins(provenance)
    assert written["plan"]["code"]["commit"] == world.commit


def test_its_events_have_arrived_in_order_when_the_result_is_given(world: World) -> None:
    world.supervise(works)
    assert world.attempt is not None
    kinds = [type(event) for event in world.attempt.events]
    assert kinds == [NotebookStarted, CellStarted, StreamWritten, MetricLogged, ArtifactLogged]
    assert [event.sequence for event in world.attempt.events] == [1, 2, 3, 4, 5]


def test_the_notebook_gets_its_inputs_and_its_parameters(world: World) -> None:
    world.simulator.objects[digest_bytes(b"a,b")] = b"a,b"
    files = [FileEntry(path="wine.csv", digest=digest_bytes(b"a,b"), size_bytes=3)]
    bound = PlannedInput(
        name="train", version_id=DatasetVersionId("v"), content_digest=content_digest(files), files=files
    )
    seen: list[object] = []

    def looks(task: NotebookAssignment, _: Observer, __: Cancellation) -> Outcome:
        seen.extend([(task.inputs / "train" / "wine.csv").read_bytes(), task.parameters, task.notebook.read_text()])
        return an_outcome()

    assert world.supervise(looks, inputs=[bound], parameters={"depth": 4}).verdict is Verdict.SUCCEEDED
    assert seen == [b"a,b", {"depth": 4}, "{}"]


def test_a_declared_output_that_is_missing_fails_the_run_and_its_other_artifacts_stay(world: World) -> None:
    result = world.supervise(works, outputs=["other.pkl"])
    assert result.verdict is Verdict.FAILED
    assert result.failure is not None
    assert result.failure.reason is FailureReason.USER_CODE
    assert "other.pkl" in result.failure.summary
    assert "model.pkl" in world.artifacts(result)


def test_a_failed_notebook_is_published_with_its_failure(world: World) -> None:
    failure = Failure(reason=FailureReason.USER_CODE, summary="Cell 1 raised ValueError.", detail=f"bad {SECRET}")

    def fails(task: NotebookAssignment, _: Observer, __: Cancellation) -> Outcome:
        write_notebook(task)
        return an_outcome(Verdict.FAILED, failure)

    result = world.supervise(fails, outputs=["model.pkl"])
    assert result.failure == msgspec.structs.replace(failure, detail="bad [redacted]")
    assert set(world.artifacts(result)) == {"train.ipynb", "run.log", "provenance.json"}


def test_credentials_leave_neither_with_the_notebook_nor_the_log_nor_live(world: World) -> None:
    def leaks(task: NotebookAssignment, observer: Observer, _: Cancellation) -> Outcome:
        observer(StreamWritten(sequence=0, at=NOW, cell_id="c", stream="stdout", text=f"it is {SECRET}\n"))
        for part in (SECRET[:9], SECRET[9:]):
            observer(StreamWritten(sequence=0, at=NOW, cell_id="c", stream="stdout", text=part))
        write_notebook(task, f"it is {SECRET}")
        return an_outcome()

    result = world.supervise(leaks)
    assert all(SECRET.encode() not in content for _, content in world.artifacts(result).values())
    assert world.attempt is not None
    assert SECRET not in str(world.attempt.events)
    assert result.provenance is not None
    assert result.provenance.extra["redactions"] == 4


def test_a_plan_that_was_changed_is_refused_before_anything_is_fetched(world: World) -> None:
    assignment = world.assignment(world.plan())
    tampered = msgspec.structs.replace(assignment.plan, parameters={"depth": 5})
    result = supervise(msgspec.structs.replace(assignment, plan=tampered), never)
    assert result.failure is not None
    assert result.failure.reason is FailureReason.INPUT
    assert "not the one that was bound" in result.failure.summary
    assert not (world.folder / "cache").exists()


@pytest.mark.parametrize("path", ["missing.ipynb", "nb", "../source/nb/train.ipynb", "link.ipynb", "way/train.ipynb"])
def test_a_notebook_that_is_not_in_the_commit_is_an_input_failure(world: World, path: str) -> None:
    (world.repository.folder / "link.ipynb").symlink_to("nb/train.ipynb")
    (world.repository.folder / "way").symlink_to("nb")
    world.repository.git("add", "link.ipynb", "way")
    code = CodeRef(repository=world.repository.url, commit=world.repository.commit({}), path=path)
    result = world.supervise(never, code=code)
    assert result.failure is not None
    assert result.failure.reason is FailureReason.INPUT
    assert "has no notebook" in result.failure.summary


def test_dataset_bytes_that_changed_are_an_input_failure(world: World) -> None:
    world.simulator.objects[digest_bytes(b"good")] = b"evil"
    files = [FileEntry(path="a", digest=digest_bytes(b"good"), size_bytes=4)]
    bound = PlannedInput(
        name="train", version_id=DatasetVersionId("v"), content_digest=content_digest(files), files=files
    )
    result = world.supervise(never, inputs=[bound])
    assert result.failure is not None
    assert result.failure.reason is FailureReason.INPUT


def test_dataset_bytes_that_are_gone_are_an_input_failure_and_not_waited_for(world: World) -> None:
    files = [FileEntry(path="a.csv", digest=digest_bytes(b"gone"), size_bytes=4)]
    bound = PlannedInput(
        name="train", version_id=DatasetVersionId("v"), content_digest=content_digest(files), files=files
    )
    result = world.supervise(never, inputs=[bound])
    assert result.failure is not None
    assert result.failure.reason is FailureReason.INPUT
    assert "'a.csv'" in result.failure.summary


def test_a_token_that_is_refused_ends_the_run_as_infrastructure(world: World) -> None:
    assignment = world.assignment(world.plan())
    result = supervise(msgspec.structs.replace(assignment, run_token="ar_other", offline_seconds=1.0), works)
    assert result.failure is not None
    assert result.failure.reason is FailureReason.INFRASTRUCTURE
    assert "the run token has run out" in result.failure.detail


def test_a_token_that_ran_out_in_an_outage_and_is_revived_loses_nothing(world: World) -> None:
    def outage(task: NotebookAssignment, observer: Observer, canceled: Cancellation) -> Outcome:
        assert world.attempt is not None
        world.attempt.run_token = "ar_nobody-has-this-one"
        threading.Timer(0.8, revive).start()
        return works(task, observer, canceled)

    def revive() -> None:  # as the executor's heartbeat does
        assert world.attempt is not None
        world.attempt.run_token = SECRET
        life.renewed(60.0)

    life = TokenLife(60.0)

    assert supervise(world.assignment(world.plan()), outage, life=life).verdict is Verdict.SUCCEEDED
    assert world.attempt is not None
    assert len(world.attempt.events) == 5


def test_a_full_disk_is_infrastructure_and_says_so(world: World) -> None:
    def full(*_: object) -> Outcome:
        raise OSError(28, "No space left on device")

    result = world.supervise(full)
    assert result.failure is not None
    assert result.failure.reason is FailureReason.INFRASTRUCTURE
    assert "No space left" in result.failure.detail


def test_a_run_whose_events_found_no_room_succeeds_with_a_limitation_that_says_so(world: World) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def act(task: NotebookAssignment, observe: Observer, _: Cancellation) -> Outcome:
        write_notebook(task)
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
        try:
            for index in range(100):
                observe(CellStarted(sequence=0, at=NOW, cell_id="c", cell_index=index))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        return an_outcome()

    result = world.supervise(act)

    assert result.verdict is Verdict.SUCCEEDED
    assert result.provenance is not None
    assert result.provenance.limitations == ["events_missing"]
    assert world.attempt is not None
    assert 0 < len(world.attempt.events) < 100


def test_what_the_kernels_process_wrote_itself_ends_the_log(world: World) -> None:
    def crashes(task: NotebookAssignment, _: Observer, __: Cancellation) -> Outcome:
        task.log.write_bytes(b"libx: abort \xff\n")
        return an_outcome()

    log = world.artifacts(world.supervise(crashes))["run.log"][1]
    assert log.decode() == "--- kernel process\nlibx: abort \N{REPLACEMENT CHARACTER}\n"


def test_sigterm_cancels_a_running_notebook_and_what_it_left_is_published(world: World) -> None:
    def waits(task: NotebookAssignment, _: Observer, canceled: Cancellation) -> Outcome:
        write_notebook(task)
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        os.read(canceled.fileno(), 1)
        return an_outcome(Verdict.CANCELED)

    result = world.supervise(waits, outputs=["model.pkl"])
    assert (result.verdict, result.failure) == (Verdict.CANCELED, None)
    assert "train.ipynb" in world.artifacts(result)


def test_sigterm_before_the_notebook_runs_cancels_without_it(world: World) -> None:
    world.simulator.away.set()  # with nobody to serve the input, the supervisor waits in its preparation
    digest = digest_bytes(b"a")
    files = [FileEntry(path="a", digest=digest, size_bytes=1)]
    bound = PlannedInput(
        name="train", version_id=DatasetVersionId("v"), content_digest=content_digest(files), files=files
    )
    threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()
    threading.Timer(0.7, world.simulator.away.clear).start()
    assert world.supervise(never, inputs=[bound]) == AttemptResult(verdict=Verdict.CANCELED)
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_control_plane_that_is_away_for_a_while_gets_everything_in_the_end(world: World) -> None:
    def outage(task: NotebookAssignment, observer: Observer, canceled: Cancellation) -> Outcome:
        world.simulator.away.set()
        threading.Timer(0.6, world.simulator.away.clear).start()
        return works(task, observer, canceled)

    result = world.supervise(outage)
    assert result.verdict is Verdict.SUCCEEDED
    assert world.attempt is not None
    assert len(world.attempt.events) == 5
