# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run succeeds only when everything promised is there; whatever else happens has a reason and its remains."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.datasets import FileEntry, content_digest
from animus_contracts.digests import digest_bytes
from animus_contracts.executions import Verdict
from animus_contracts.identifiers import DatasetVersionId
from animus_contracts.plans import Plan, PlannedInput, plan_digest
from animus_contracts.run_events import ArtifactLogged, CellStarted, MetricLogged, NotebookStarted, StreamWritten
from animus_contracts.runs import CodeRef, Failure, FailureReason
from animus_runner.execution import Observer
from animus_runner.kernels import KernelFacts
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome
from animus_runner.provenance import cpu_model
from animus_runner.publishing import EXECUTED_FILE, SETTLED_FILE
from animus_runner.spool import EVENTS_FILE
from animus_runner.supervisor import supervise
from tests.fakes.control_plane import Attempt, ControlPlaneSimulator
from tests.fakes.git_repository import GitRepository
from tests.fakes.plans import a_plan

Act = Callable[[NotebookAssignment, Observer, Cancellation], Outcome]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
FACTS = KernelFacts(
    python="3.11.7", implementation="CPython", packages={"x": "1"}, prefixes=[], hash_seed="0", limitations=[]
)
SECRET = "ar_canary-0123456789abcdefghij"


def an_outcome(verdict: Verdict = Verdict.SUCCEEDED, failure: Failure | None = None) -> Outcome:
    return Outcome(
        verdict=verdict, failure=failure, facts=FACTS, peak_memory_mib=12.5, limitations=[], environment={"A": "1"}
    )


def write_notebook(task: NotebookAssignment, text: str = "4") -> None:
    outputs = [{"output_type": "stream", "name": "stdout", "text": [text]}]
    cell = {"cell_type": "code", "id": "c", "metadata": {}, "execution_count": 1, "source": "4", "outputs": outputs}
    notebook = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    task.output.write_text(json.dumps(notebook))


def say(task: NotebookAssignment, *requests: dict[str, object]) -> list[dict[str, object]]:
    """Speak to the supervisor as user code does."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        connection.connect(str(task.channel))
        connection.sendall(b"".join(json.dumps(request).encode() + b"\n" for request in requests))
        with connection.makefile("rb") as replies:
            return [json.loads(replies.readline()) for _ in requests]


class World:
    """A control plane, a repository and a machine on which one run is supervised."""

    def __init__(self, folder: Path, simulator: ControlPlaneSimulator) -> None:
        self.folder = folder
        self.simulator = simulator
        self.repository = GitRepository(folder / "source")
        self.commit = self.repository.commit({"nb/train.ipynb": "{}"})
        self.attempt: Attempt | None = None

    def plan(self, **changes: object) -> Plan:
        code = CodeRef(repository=self.repository.url, commit=self.commit, path="nb/train.ipynb")
        return a_plan(**{"code": code, **changes})

    def assignment(self, plan: Plan) -> Assignment:
        self.attempt = self.simulator.grant(plan)
        self.attempt.run_token = SECRET
        run_folder = self.folder / "run"
        run_folder.mkdir()
        return Assignment(
            execution_id=self.attempt.lease.execution_id,
            epoch=1,
            plan_digest=plan_digest(plan),
            plan=plan,
            control_plane=self.simulator.url,
            run_token=SECRET,
            secret_digests=[digest_bytes(SECRET.encode())],
            repositories=[f"file://{self.folder}/"],
            python="/usr/bin/python3",
            kernel_parent="/nowhere",
            environment_folder="/nowhere",
            support_folder="/nowhere",
            run_folder=str(run_folder),
            cache_folder=str(self.folder / "cache"),
        )

    def supervise(self, act: Act, **changes: object) -> AttemptResult:
        return supervise(self.assignment(self.plan(**changes)), act)

    def artifacts(self, result: AttemptResult) -> dict[str, tuple[ArtifactKind, bytes]]:
        return {entry.name: (entry.kind, self.simulator.content(entry.digest)) for entry in result.artifacts}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ControlPlaneSimulator() as simulator:
        yield World(tmp_path, simulator)


def works(task: NotebookAssignment, observer: Observer, _: Cancellation) -> Outcome:
    """A notebook that prints, logs and writes."""
    observer(NotebookStarted(sequence=0, at=NOW, cells_total=1))
    observer(CellStarted(sequence=0, at=NOW, cell_id="c", cell_index=0))
    observer(StreamWritten(sequence=0, at=NOW, cell_id="c", stream="stdout", text="4\n"))
    (task.outputs / "model.pkl").write_bytes(b"model")
    (task.scratch / "plot.png").write_bytes(b"plot")
    replies = say(
        task,
        {"type": "metric", "name": "loss", "step": 0, "value": 0.5},
        {"type": "artifact", "name": "plot.png", "path": "/tmp/plot.png"},  # noqa: S108 - as the run names it
        {"type": "seed", "number": 11},
    )
    assert replies == [{"ok": True}] * 3
    write_notebook(task)
    return an_outcome()


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


def never(*_: object) -> Outcome:
    raise AssertionError("the notebook must not run")


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
    assert "unauthenticated" in result.failure.detail


def test_a_token_that_ran_out_in_an_outage_and_is_revived_loses_nothing(world: World) -> None:
    def outage(task: NotebookAssignment, observer: Observer, canceled: Cancellation) -> Outcome:
        assert world.attempt is not None
        world.attempt.run_token = "ar_nobody-has-this-one"
        threading.Timer(0.8, setattr, (world.attempt, "run_token", SECRET)).start()
        return works(task, observer, canceled)

    assert world.supervise(outage).verdict is Verdict.SUCCEEDED
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
    say(task, {"type": "metric", "name": "loss", "step": 1, "value": 0.5})
    (task.outputs / "model.bin").write_bytes(b"model")
    return an_outcome()


def refuses(*_: object) -> Outcome:
    raise AssertionError("a remainder must not be executed")


def test_what_was_settled_is_delivered_as_it_was_by_another_supervisor(world: World) -> None:
    remainder, before = killed_after(world, tells_and_leaves)

    assert supervise(remainder, refuses) == before

    assert world.attempt is not None
    assert [type(event) for event in world.attempt.events] == [StreamWritten, MetricLogged]
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
    assert set(artifacts) == {"model.bin", "run.log"}
    assert SECRET not in artifacts["run.log"][1].decode()
    assert world.attempt is not None
    assert [event.sequence for event in world.attempt.events] == [1, 2]


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
