# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One run under a supervisor, whose notebook is played by the test, before a control plane that is told what to do."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.digests import digest_bytes
from animus_contracts.executions import Verdict
from animus_contracts.plans import Plan
from animus_contracts.run_events import CellStarted, NotebookStarted, StreamWritten
from animus_contracts.runs import CodeRef, Failure
from animus_runner.execution import Observer
from animus_runner.kernels import KernelFacts
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome
from animus_runner.supervisor import supervise
from tests.fakes.control_plane import Attempt, ControlPlaneSimulator
from tests.fakes.git_repository import GitRepository
from tests.fakes.plans import a_plan, an_assignment

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
        return an_assignment(
            self.attempt.lease,
            run_folder,
            control_plane=self.simulator.url,
            run_token=SECRET,
            secret_digests=[digest_bytes(SECRET.encode())],
            repositories=[f"file://{self.folder}/"],
            cache_folder=str(self.folder / "cache"),
        )

    def supervise(self, act: Act, **changes: object) -> AttemptResult:
        return supervise(self.assignment(self.plan(**changes)), act)

    def artifacts(self, result: AttemptResult) -> dict[str, tuple[ArtifactKind, bytes]]:
        return {entry.name: (entry.kind, self.simulator.content(entry.digest)) for entry in result.artifacts}


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


def never(*_: object) -> Outcome:
    raise AssertionError("the notebook must not run")
