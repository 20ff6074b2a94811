# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Users and executors that only talk: they repeat what was not answered, under the same key, as ours do.

No kernel is started, so that a campaign can afford thousands of faults. Executors misbehave as real ones may: they
repeat what was answered, and vanish with a lease or in the middle of a run.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.digests import digest_bytes
from animus_contracts.executions import EndExecution, Heartbeat, Lease, LeaseRequest, StartExecution, Verdict
from animus_contracts.identifiers import LockId
from animus_contracts.run_events import CellEnded, CellStarted, NotebookStarted, ReportEvents
from animus_contracts.runs import CancelRun, CodeRef, Failure, FailureReason, Run, RunState, SubmitRun
from tests.fakes.puppet import A_PROVENANCE
from tests.faults.caller import Caller, RefusedError, UnansweredError
from tests.faults.campaign import Campaign
from tests.faults.invariants import CRASH_REASONS, Observed, Promised, broken_invariants
from tests.faults.observers import told_by
from tests.faults.plant import CONTROL, EXECUTOR, Plant

PROJECT = "campaign"
HASHED = "numpy==2.0 --hash=sha256:" + "ab" * 32
CODE = CodeRef(repository="file:///srv/campaign", commit="0a" * 20, path="campaign.ipynb")
BROKE = Failure(reason=FailureReason.KILLED, summary="The campaign's executor said so.")


def prepare(plant: Plant) -> LockId:
    """Make the project, and an environment that nobody will build."""
    with plant.client() as admin:
        admin.projects.create(PROJECT)
    with plant.client(PROJECT) as client:
        environment = client.environments.define("plain", python="3.11", requirements=[])
        return client.environments.lock(environment, HASHED).lock_id


@dataclass
class Traffic:
    """Users and executors at work, until they are told to stop.

    Attributes:
        plant: The installation.
        lock: What runs are submitted with.
        seed: Decides what they do.
        controls: Which control planes they talk to.
        users: How many submit.
        executors: How many execute.
        submitted: Run id by label of each acknowledged submission.
        ended: State by run of each acknowledged end.
        complaints: Answers that no fault excuses.
    """

    plant: Plant
    lock: LockId
    seed: int
    controls: Sequence[str] = (CONTROL,)
    users: int = 2
    executors: int = 3
    pause: float = 0.02
    submitted: dict[str, str] = field(default_factory=dict)
    ended: dict[str, RunState] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)
    steady: bool = False
    _stop_users: threading.Event = field(default_factory=threading.Event)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        works = [(self._submit, number) for number in range(self.users)]
        works += [(self._execute, number) for number in range(self.executors)]
        for work, number in works:
            thread = threading.Thread(target=work, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_users.set()
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    def settle(self, seconds: float = 90.0) -> None:
        """Submit nothing more, and wait until every run has ended or the time is over; executors behave from now on."""
        self.steady = True
        self._stop_users.set()
        for thread in self._threads[: self.users]:
            thread.join(60)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with suppress(Exception), self.plant.client(PROJECT, control=self.controls[0]) as client:
                if all(run.finished_at for run in client.runs.list()):
                    return
            time.sleep(0.3)

    def judge(self, campaign: Campaign, *, reasons: frozenset[FailureReason] = CRASH_REASONS) -> Observed:
        """Let everything end, look at all of it, and close the campaign.

        Raises:
            AssertionError: If anything does not hold.
        """
        self.settle()
        with self.plant.client(PROJECT, control=self.controls[0]) as client:
            observed = told_by(client)
        campaign.runs += len(observed.runs)
        promised = Promised(submissions=self.submitted, ends=self.ended, reasons=reasons)
        campaign.finish(self.complaints + broken_invariants(observed, promised))
        return observed

    def _caller(self, number: int) -> Caller:
        urls = [self.plant.url_of(name) for name in self.controls]
        shift = number % len(urls)
        return Caller(urls[shift:] + urls[:shift], self.complaints)

    def _chance(self, kind: str, number: int) -> random.Random:
        return random.Random(f"{self.seed} {kind} {number}")

    # A user.

    def _submit(self, number: int) -> None:
        caller, chance = self._caller(number), self._chance("user", number)
        token = next(iter(self.plant.tokens.values()))
        count = 0
        while not self._stop_users.is_set():
            count += 1
            label = f"{number}-{count}"
            message = SubmitRun(code=CODE, environment_lock_id=self.lock, labels={"submission": label})
            run = self._until_answered(caller, token, "runs.submit", message, key=f"key-{label}", project=PROJECT)
            if run is None:
                self.complaints.append(f"I1: submission {label} was refused")
                continue
            self.submitted[label] = run.run_id
            if chance.random() < 0.1:  # repeats, as whoever lost the answer
                again: Run | None = self._until_answered(
                    caller, token, "runs.submit", message, key=f"key-{label}", project=PROJECT
                )
                if again is None or again.run_id != run.run_id:
                    self.complaints.append(f"I2: submission {label} was {run.run_id} and then {again}")
            if chance.random() < 0.05:
                self._until_answered(
                    caller, token, "runs.cancel", CancelRun(), project=PROJECT, run=run.run_id, key=f"stop-{label}"
                )
            time.sleep(chance.uniform(0, 2 * self.pause))
        caller.close()

    def _until_answered(self, caller: Caller, token: str, operation: str, body: Any, **names: str) -> Any:
        """Repeat a call until it is answered; None when it was refused, or nobody answers at the very end."""
        while True:
            try:
                return caller.call(token, operation, body, **names)
            except UnansweredError:
                if self._stop.wait(0.05):
                    return None
            except RefusedError:
                return None

    # An executor.

    def _execute(self, number: int) -> None:
        caller, chance = self._caller(number), self._chance("executor", number)
        token = self.plant.executor_token(EXECUTOR)
        while not self._stop.is_set():
            try:
                lease: Lease | None = caller.call(token, "executions.lease", LeaseRequest(wait_seconds=0.5)).lease
            except (UnansweredError, RefusedError):
                time.sleep(0.05)
                continue
            if lease is not None:
                self._attempt(caller, token, lease, chance)
        caller.close()

    def _attempt(self, caller: Caller, token: str, lease: Lease, chance: random.Random) -> None:
        fate = 1.0 if self.steady else chance.random()
        if fate < 0.03:
            return  # vanishes before the start
        names = {"execution": lease.execution_id}
        start = StartExecution(epoch=lease.epoch, dispatch_token=lease.dispatch_token)
        started = self._until_answered(caller, token, "executions.start", start, **names)
        if started is None or fate < 0.06:
            return  # too late, or vanishes in the middle
        at, epoch = datetime.now(UTC), lease.epoch
        events = [
            NotebookStarted(sequence=1, at=at, cells_total=1),
            CellStarted(sequence=2, at=at, cell_id="c", cell_index=0),
            CellEnded(sequence=3, at=at, cell_id="c", cell_index=0, seconds=0.1, status="ok"),
        ]
        report = ReportEvents(epoch=epoch, events=events)
        for _ in range(1 + (fate < 0.3)):  # a report may come twice
            self._until_answered(caller, started.run_token, "executions.report", report, **names)
        self._until_answered(caller, token, "executions.heartbeat", Heartbeat(epoch=epoch), **names)
        notebook = f"notebook of {lease.execution_id}".encode()
        self._until_answered(
            caller, started.run_token, "executions.put_object", notebook, digest=digest_bytes(notebook), **names
        )
        end = _end(lease, notebook, failed=fate > 0.95 and not self.steady)
        for _ in range(1 + (fate < 0.3)):  # so may an end
            ended = self._until_answered(caller, token, "executions.end", end, **names)
            if ended is not None:
                self.ended[lease.run_id] = ended.state


def _end(lease: Lease, notebook: bytes, *, failed: bool) -> EndExecution:
    entry = ArtifactEntry(
        name="campaign.ipynb", kind=ArtifactKind.NOTEBOOK, media_type="application/x-ipynb+json",
        digest=digest_bytes(notebook), size_bytes=len(notebook),
    )  # fmt: skip
    return EndExecution(
        event_id=f"{lease.execution_id}.{lease.epoch}.end",
        epoch=lease.epoch,
        verdict=Verdict.FAILED if failed else Verdict.SUCCEEDED,
        failure=BROKE if failed else None,
        artifacts=[entry],
        provenance=A_PROVENANCE,
    )
