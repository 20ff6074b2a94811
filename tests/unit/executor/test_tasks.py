# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tasks at an executor: in real processes, with exactly the bytes they need, and an answer whatever happens."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook, new_output

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.comparisons import (
    ComparedFile,
    ComparedRun,
    CompareRuns,
    ComparisonRequest,
    Match,
    OutputComparison,
    RunFacts,
)
from animus_contracts.digests import digest_bytes
from animus_contracts.identifiers import ComparisonId, InspectionId, TaskId
from animus_contracts.inspections import InspectNotebook, NotebookFindings
from animus_contracts.tasks import EndTask, LeaseTask, TaskEnded, TaskFailed, TaskLease, TaskState
from animus_executor.control_plane import RefusedError, StaleError, UnreachableError
from animus_executor.settings import Settings
from animus_executor.tasks import FETCHED_BYTES, TaskWorker
from tests.fakes.git_repository import GitRepository
from tests.patience import until
from tests.ports.records_of_a_project import a_run

TASK = TaskId("0198f000-0000-7000-8000-00000000000a")


@dataclass(slots=True)
class GivenTasks:
    """A control plane that gives prepared tasks, serves bytes, and keeps what it is told."""

    leases: deque[TaskLease] = field(default_factory=deque)
    objects: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    ended: list[EndTask] = field(default_factory=list)
    troubles: deque[Exception] = field(default_factory=deque)

    def lease_task(self, request: LeaseTask) -> TaskLease | None:
        del request
        time.sleep(0 if self.leases else 0.02)
        return self.leases.popleft() if self.leases else None

    @contextmanager
    def task_object(self, task_id: str, digest: str) -> Iterator[Iterator[bytes]]:
        assert task_id == TASK
        self.fetched.append(digest)
        if self.troubles:
            raise self.troubles.popleft()
        if digest not in self.objects:
            raise StaleError("404 not_found")
        yield iter([self.objects[digest]])

    def end_task(self, task_id: str, message: EndTask) -> TaskEnded:
        assert task_id == TASK
        if self.troubles:
            raise self.troubles.popleft()
        self.ended.append(message)
        return TaskEnded(state=TaskState.DONE)


@dataclass(slots=True)
class Side:
    """One run of a comparison under construction."""

    given: GivenTasks
    files: list[ComparedFile] = field(default_factory=list)

    def file(self, name: str, content: bytes, kind: ArtifactKind = ArtifactKind.OUTPUT, **more: Any) -> Side:
        entry = ArtifactEntry(
            name=name, kind=kind, media_type="", digest=digest_bytes(content), size_bytes=len(content)
        )
        self.files.append(ComparedFile(entry=msgspec.structs.replace(entry, **more), path=None))
        self.given.objects[entry.digest] = content
        return self

    def notebook(self, text: str) -> Side:
        output = new_output("stream", name="stdout", text=text)
        cell = new_code_cell("print(1)", id="a", outputs=[output])
        return self.file("n.ipynb", nbformat.writes(new_notebook(cells=[cell])).encode(), ArtifactKind.NOTEBOOK)

    def run(self) -> ComparedRun:
        return ComparedRun(facts=RunFacts(run=a_run()), artifacts=self.files)


@pytest.fixture
def given() -> GivenTasks:
    return GivenTasks()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    repositories = (f"file://{tmp_path}/repositories/",)
    return Settings(control_plane="http://nowhere", name="local", token="t", data=tmp_path, repositories=repositories)


@pytest.fixture
def worker(given: GivenTasks, settings: Settings) -> TaskWorker:
    return TaskWorker(given, settings, cache=settings.data / "cache", folder=settings.data / "tasks")


def comparison(left: Side, right: Side) -> TaskLease:
    request = ComparisonRequest(left=left.run(), right=right.run())
    return TaskLease(
        task_id=TASK, attempt=1, lease_seconds=120, request=CompareRuns(comparison_id=ComparisonId("c")),
        comparison=request,
    )  # fmt: skip


def inspection(settings: Settings, ref: str = "main", seconds: float = 120) -> TaskLease:
    repository = GitRepository(settings.data / "repositories" / "work")
    repository.commit({"work.ipynb": nbformat.writes(new_notebook(cells=[new_code_cell("print(1)")]))})
    request = InspectNotebook(inspection_id=InspectionId("i"), repository=repository.url, ref=ref, path="work.ipynb")
    return TaskLease(task_id=TASK, attempt=2, lease_seconds=seconds, request=request)


def done(worker: TaskWorker, given: GivenTasks, lease: TaskLease) -> Any:
    worker.do(lease, time.monotonic())
    (ended,) = given.ended
    assert ended.attempt == lease.attempt
    return ended.result


def test_two_runs_with_the_same_outputs_are_identical_and_little_is_fetched(
    worker: TaskWorker, given: GivenTasks, settings: Settings
) -> None:
    left, right = Side(given).notebook("1\n"), Side(given).notebook("1\n")
    for side in (left, right):
        side.file("model.bin", b"the same large model")

    result = done(worker, given, comparison(left, right))

    assert isinstance(result, OutputComparison)
    assert result.verdict is Match.IDENTICAL
    assert given.fetched == [left.files[0].entry.digest]
    assert list((settings.data / "tasks").iterdir()) == []


def test_outputs_that_differ_are_found_by_the_bytes(worker: TaskWorker, given: GivenTasks) -> None:
    left = Side(given).notebook("1\n").file("a.csv", b"x\n1.0\n")
    right = Side(given).notebook("2\n").file("a.csv", b"x\n1.0000000001\n")

    result = done(worker, given, comparison(left, right))

    assert isinstance(result, OutputComparison)
    assert (result.verdict, result.first_differing_cell) == (Match.DIFFERENT, 0)
    assert [(each.name, each.match) for each in result.artifacts] == [("a.csv", Match.EQUIVALENT)]


@pytest.mark.parametrize("spoil", ["gone", "wrong", "large"])
def test_bytes_that_cannot_be_had_are_incomparable(worker: TaskWorker, given: GivenTasks, spoil: str) -> None:
    left = Side(given).notebook("1\n").file("a.csv", b"x\n1\n")
    right = Side(given).notebook("1\n")
    right.file("a.csv", b"x\n2\n", **({"size_bytes": FETCHED_BYTES + 1} if spoil == "large" else {}))
    digest = right.files[1].entry.digest
    if spoil == "gone":
        del given.objects[digest]
    elif spoil == "wrong":
        given.objects[digest] = b"something else"

    result = done(worker, given, comparison(left, right))

    assert isinstance(result, OutputComparison)
    assert [(each.name, each.match) for each in result.artifacts] == [("a.csv", Match.INCOMPARABLE)]
    assert (digest in given.fetched) == (spoil != "large")


def test_a_fetch_that_was_not_answered_is_repeated(worker: TaskWorker, given: GivenTasks) -> None:
    given.troubles.append(UnreachableError("no answer"))
    left, right = Side(given).notebook("1\n"), Side(given).notebook("1\n")
    assert done(worker, given, comparison(left, right)).verdict is Match.IDENTICAL


def test_a_notebook_is_looked_at_in_a_process(worker: TaskWorker, given: GivenTasks, settings: Settings) -> None:
    result = done(worker, given, inspection(settings))
    assert isinstance(result, NotebookFindings)
    assert (len(result.commit), result.problem) == (40, None)


def test_a_task_that_takes_longer_than_its_lease_is_given_up_and_told(
    worker: TaskWorker, given: GivenTasks, settings: Settings
) -> None:
    result = done(worker, given, inspection(settings, seconds=10.05))
    assert result == TaskFailed(reason="it took longer than a task may take")


def test_a_process_that_breaks_is_told_with_its_last_words(
    worker: TaskWorker, given: GivenTasks, monkeypatch: pytest.MonkeyPatch, settings: Settings, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("#!/bin/sh\ncat > /dev/null; echo no room left >&2; exit 3\n")
    broken.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(broken))
    assert done(worker, given, inspection(settings)) == TaskFailed(reason="no room left")


def test_an_end_that_was_not_answered_is_repeated(worker: TaskWorker, given: GivenTasks, settings: Settings) -> None:
    given.troubles.extend([UnreachableError("no answer"), UnreachableError("no answer")])
    assert isinstance(done(worker, given, inspection(settings)), NotebookFindings)


def test_an_answer_that_is_refused_ends_the_task_for_good(
    worker: TaskWorker, given: GivenTasks, settings: Settings
) -> None:
    given.troubles.append(RefusedError("413 body_too_large"))
    assert done(worker, given, inspection(settings)) == TaskFailed(reason="413 body_too_large", is_final=True)


def test_a_task_that_is_not_ours_any_more_is_dropped(worker: TaskWorker, given: GivenTasks, settings: Settings) -> None:
    given.troubles.append(StaleError("409 stale_epoch"))
    worker.do(inspection(settings), time.monotonic())
    assert given.ended == []


def test_tasks_are_done_one_after_another_until_the_worker_is_stopped(
    worker: TaskWorker, given: GivenTasks, settings: Settings
) -> None:
    lease = inspection(settings)
    given.leases.extend([lease, lease])
    worker.start()
    until(lambda: len(given.ended) == 2)
    worker.stop()
    given.leases.append(lease)
    time.sleep(0.2)
    assert len(given.ended) == 2


def test_what_a_killed_predecessor_left_is_removed(given: GivenTasks, settings: Settings) -> None:
    left = settings.data / "tasks" / "old" / "bytes"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    TaskWorker(given, settings, cache=settings.data / "cache", folder=settings.data / "tasks")
    assert not left.exists()
