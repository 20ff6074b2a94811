# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The supervisor of one attempt: everything between an assignment and its result.

Rules kept here:

* nothing is fetched before the plan has the digest that was bound to the run;
* a run succeeded only when every cell was seen to end well, every declared output is there, and every artifact is
  stored under its digest;
* whatever goes wrong becomes a typed failure; whatever was produced until then is published with it;
* what another supervisor left is delivered, and nothing is executed a second time.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.executions import Verdict
from animus_contracts.plans import plan_digest
from animus_contracts.runs import Failure, FailureReason
from animus_runner.artifacts import Logged, Produced, collect_outputs, distinct, undelivered
from animus_runner.channel import Channel
from animus_runner.code import FetchLimits, check_out
from animus_runner.control_plane import ControlPlane
from animus_runner.execution import Observer, execute
from animus_runner.exits import CanceledError, FailedError, LostError
from animus_runner.git_objects import Checkout
from animus_runner.limits import MIB
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome
from animus_runner.notebook_files import find
from animus_runner.objects import Objects, digest_file
from animus_runner.progress import Progress
from animus_runner.provenance import build_provenance, document
from animus_runner.publishing import EXECUTED_FILE, KERNEL_LOG_FILE, LOG_FILE, deliver, records, settle
from animus_runner.recording import Recording
from animus_runner.redact import Redactor
from animus_runner.salvage import salvage
from animus_runner.spool import EVENTS_FILE, Spool
from animus_runner.token_life import TokenLife
from animus_runner.workspace import Workspace, materialise

Execute = Callable[[NotebookAssignment, Observer, Cancellation], Outcome]


def supervise(assignment: Assignment, execute: Execute = execute, *, life: TokenLife | None = None) -> AttemptResult:
    """Carry out one assignment, whatever happens; SIGTERM cancels it.

    Args:
        assignment: What to do.
        execute: Executes the notebook.
        life: How long the run token may be presented; for ever when nobody says.
    """
    control_plane = ControlPlane(assignment.control_plane, assignment.execution_id, assignment.run_token, life)
    try:
        with _cancelable() as canceled:
            if assignment.is_remainder:
                canceled.breaks_off = False
                return salvage(assignment, control_plane)
            return _Supervisor(assignment, control_plane, canceled, execute).run()
    except CanceledError:
        return AttemptResult(verdict=Verdict.CANCELED)
    except FailedError as error:
        return AttemptResult(verdict=Verdict.FAILED, failure=error.failure)
    except LostError as error:
        lost = FailedError(
            FailureReason.INFRASTRUCTURE,
            "The control plane no longer accepts the run's credential.",
            detail=str(error),
            remedy="Submit the run again.",
        )
        return AttemptResult(verdict=Verdict.FAILED, failure=lost.failure)
    except OSError as error:  # a full disk, a missing program: nothing the notebook did
        refused = FailedError(
            FailureReason.INFRASTRUCTURE,
            "The machine that executed the run could not go on.",
            detail=str(error),
            remedy="Submit the run again; if it happens again, tell the operator of the executor.",
        )
        return AttemptResult(verdict=Verdict.FAILED, failure=refused.failure)
    finally:
        control_plane.close()


class _Signals:
    """What SIGTERM does: before the notebook runs it breaks off, while it runs it cancels, afterwards nothing."""

    def __init__(self, cancellation: Cancellation) -> None:
        self.cancellation = cancellation
        self.breaks_off = True

    def __call__(self, *_: object) -> None:
        self.cancellation.request()
        if self.breaks_off:
            raise CanceledError


@contextmanager
def _cancelable() -> Iterator[_Signals]:
    with Cancellation() as cancellation:
        signals = _Signals(cancellation)
        previous = signal.signal(signal.SIGTERM, signals)
        try:
            yield signals
        finally:
            signal.signal(signal.SIGTERM, previous)


@dataclass(frozen=True, slots=True)
class _Supervisor:
    assignment: Assignment
    control_plane: ControlPlane
    canceled: _Signals
    execute: Execute
    began: float = field(default_factory=time.monotonic)

    def run(self) -> AttemptResult:
        plan = self.assignment.plan
        if plan_digest(plan) != self.assignment.plan_digest:
            raise FailedError(
                FailureReason.INPUT,
                "The plan is not the one that was bound to the run.",
                remedy="Submit the run again.",
            )
        workspace = Workspace.prepare(Path(self.assignment.run_folder))
        checkout = self._fetch(workspace)
        notebook = find(checkout, plan.code.path)
        redactor = Redactor(self.assignment.secret_digests)
        writable = {
            workspace.outputs: workspace.outputs,
            workspace.scratch: workspace.scratch,
            Path("/tmp"): workspace.scratch,  # noqa: S108 - where the run sees its scratch folder as well
        }
        logged = Logged(workspace.logged, writable, plan.resources.file_mib * MIB)
        with (
            Spool(workspace.run / EVENTS_FILE) as spool,
            Progress(self.assignment.epoch, self.control_plane.report, spool) as progress,
        ):
            with Recording(progress, logged, redactor, workspace.run / LOG_FILE) as recording:
                outcome = self._execute(workspace, notebook, recording)
            return self._publish(workspace, checkout, notebook, outcome, recording)

    def _fetch(self, workspace: Workspace) -> Checkout:
        cache = Path(self.assignment.cache_folder)
        plan, allowed = self.assignment.plan, self.assignment.repositories
        patience = self.assignment.offline_seconds
        limits = FetchLimits(seconds=self.assignment.fetch_seconds, mebibytes=self.assignment.fetch_mib)
        with ThreadPoolExecutor(1) as beside:
            inputs = beside.submit(
                materialise,
                plan.inputs,
                workspace.inputs,
                Objects(cache / "objects"),
                self.control_plane,
                patience=patience,
            )
            checkout = check_out(plan.code, workspace.checkout, cache / "repositories", allowed, limits)
            inputs.result()
        return checkout

    def _execute(self, workspace: Workspace, notebook: Path, recording: Recording) -> Outcome:
        plan, channel = self.assignment.plan, workspace.run / "channel"
        task = NotebookAssignment(
            run_id=plan.run_id,
            notebook=notebook,
            output=workspace.run / EXECUTED_FILE,
            log=workspace.run / KERNEL_LOG_FILE,
            parameters=plan.parameters,
            parameters_schema_digest=plan.parameters_schema_digest,
            python=Path(self.assignment.python),
            kernel_parent=self.assignment.kernel_parent,
            checkout=workspace.checkout,
            inputs=workspace.inputs,
            outputs=workspace.outputs,
            scratch=workspace.scratch,
            support=Path(self.assignment.support_folder),
            resources=plan.resources,
            channel=channel,
            seed=plan.seed,
            cell_seconds=plan.cell_seconds,
            spent_seconds=time.monotonic() - self.began,
        )
        with Channel(channel, recording):
            self.canceled.breaks_off = False
            return self.execute(task, recording.observe, self.canceled.cancellation)

    def _publish(
        self,
        workspace: Workspace,
        checkout: Checkout,
        notebook: Path,
        outcome: Outcome,
        recording: Recording,
    ) -> AttemptResult:
        redactor, logged = recording.redactor, recording.logged
        outputs, failure = collect_outputs(workspace.outputs)
        if outcome.verdict is Verdict.SUCCEEDED:
            failure = failure or undelivered(self.assignment.plan.outputs, outputs)
        else:
            failure = outcome.failure
        produced = [
            *records(workspace.run, notebook.name, redactor),
            *distinct(outputs, logged.produced()),
        ]
        provenance = build_provenance(
            self.assignment,
            checkout,
            digest_file(notebook),
            outcome,
            recording,
        )
        provenance_file = workspace.run / "provenance.json"
        provenance_file.write_bytes(document(self.assignment, provenance))
        produced.append(Produced(name=provenance_file.name, kind=ArtifactKind.PROVENANCE, path=provenance_file))
        result = AttemptResult(
            verdict=Verdict.FAILED if failure else outcome.verdict,
            provenance=provenance,
            failure=failure and _clean(failure, redactor),
        )
        settled = settle(workspace.run, result, produced)
        return deliver(settled, self.control_plane.put_object, patience=self.assignment.offline_seconds)


def _clean(failure: Failure, redactor: Redactor) -> Failure:
    texts = {name: redactor.text(getattr(failure, name)) for name in ("summary", "detail", "exception")}
    return msgspec.structs.replace(failure, **texts)
