# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One attempt, from its lease to its verdict. The verdict is given here, once per attempt, under one event id.

An attempt whose lease is lost is killed and says nothing: somebody else may have the run. One that ended is reported
until the control plane has answered; an epoch that is stale by then is refused there.
"""

from __future__ import annotations

import logging
import threading
import time
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.digests import digest_bytes
from animus_contracts.executions import EndExecution, ExecutionEnded, Lease, RunCredentials, StartExecution, Verdict
from animus_contracts.identifiers import ExecutionId
from animus_contracts.plans import PlannedEnvironment
from animus_contracts.runs import Failure, FailureReason
from animus_executor.backends import Attempt, Backend, BackendError
from animus_executor.control_plane import ProtocolError, RefusedError, UnreachableError
from animus_executor.installation import UnrealisableError
from animus_executor.kernel_parents import KernelParentError
from animus_executor.leases import Beats, Keeper
from animus_executor.runs import RunFolders
from animus_executor.settings import Settings

log = logging.getLogger(__name__)

FORCE_SECONDS = 5.0
"""How long an attempt that is asked to stop may take to do it."""

END_PATIENCE_SECONDS = 900.0
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


class Verdicts(Beats, Protocol):
    """The control plane, as far as one attempt needs it."""

    def start(self, execution_id: str, message: StartExecution) -> RunCredentials:
        """Start an attempt."""

    def end(self, execution_id: str, message: EndExecution) -> ExecutionEnded:
        """End an attempt."""


class Realises(Protocol):
    """What makes environments."""

    def realised(self, planned: PlannedEnvironment) -> AbstractContextManager[Path]:
        """Hold the folder of a lock's environment."""


class ServesKernels(Protocol):
    """What starts kernels in environments."""

    def serving(self, environment: Path) -> AbstractContextManager[Path]:
        """Hold the socket of an environment's kernel parent."""


class AttemptLostError(Exception):
    """The lease is not ours any more, or never became an attempt: there is nothing to report."""


@dataclass(slots=True)
class Handle:
    """The supervisor of an attempt, for whoever wants to stop it; before there is one, the wish is kept."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _attempt: Attempt | None = None
    canceled: bool = False
    killed: bool = False

    def attach(self, attempt: Attempt) -> None:
        """The supervisor runs; carry out what was wished for in the meantime."""
        with self._lock:
            self._attempt = attempt
        if self.killed:
            attempt.kill()
        elif self.canceled:
            self.cancel()

    def cancel(self) -> None:
        """Stop it gently, and by force after :data:`FORCE_SECONDS`."""
        with self._lock:
            self.canceled = True
            attempt = self._attempt
        if attempt is not None:
            attempt.cancel()
            timer = threading.Timer(FORCE_SECONDS, attempt.kill)
            timer.daemon = True
            timer.start()

    def kill(self) -> None:
        """Stop it now."""
        with self._lock:
            self.killed = True
            attempt = self._attempt
        if attempt is not None:
            attempt.kill()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempts:
    """Executes attempts with what one executor has.

    Attributes:
        settings: The executor's configuration.
        control_plane: Who starts, renews and ends attempts.
        environments: Realised environments.
        kernel_parents: What starts kernels in them.
        backend: What starts supervisors.
        folders: Where attempts have their files.
        support: Folder that makes ``animus`` importable in kernels.
        active: Attempts at work, by execution id.
    """

    settings: Settings
    control_plane: Verdicts
    environments: Realises
    kernel_parents: ServesKernels
    backend: Backend
    folders: RunFolders
    support: Path
    active: dict[str, Handle] = field(default_factory=dict)

    def execute(self, lease: Lease, asked_at: float) -> None:
        """Execute one leased attempt and report its end.

        Args:
            lease: The lease.
            asked_at: Monotonic time before it was asked for.
        """
        handle = self.active[lease.execution_id] = Handle()
        keeper = Keeper(
            lease, asked_at=asked_at, control_plane=self.control_plane, on_cancel=handle.cancel, on_lost=handle.kill
        )
        try:
            with keeper:
                result = self._result(lease, handle, keeper)
                if result is None:
                    log.warning("attempt %s of run %s is lost", lease.execution_id, lease.run_id)
                else:
                    self._end(lease, result)
        finally:
            self.folders.remove(lease)
            del self.active[lease.execution_id]

    def _result(self, lease: Lease, handle: Handle, keeper: Keeper) -> AttemptResult | None:
        try:
            outcome = self._supervised(lease, handle, keeper)
        except UnrealisableError as error:
            outcome = failed(FailureReason.ENVIRONMENT, str(error), detail=error.detail, remedy=error.remedy)
        except KernelParentError as error:
            remedy = "Run a kernel in this environment on your machine to see why, then lock it again."
            summary = "The environment cannot start kernels."
            outcome = failed(FailureReason.ENVIRONMENT, summary, detail=str(error), remedy=remedy)
        except (BackendError, OSError) as error:
            outcome = failed(FailureReason.INFRASTRUCTURE, "The executor cannot start runs.", detail=str(error))
        except AttemptLostError as error:
            log.warning("attempt %s cannot start: %s", lease.execution_id, error)
            return None
        if handle.killed:
            return None if keeper.is_lost else failed(FailureReason.INFRASTRUCTURE, "The executor was stopped.")
        if isinstance(outcome, AttemptResult):
            return outcome
        return AttemptResult(verdict=Verdict.CANCELED) if handle.canceled else _died(outcome)

    def _supervised(self, lease: Lease, handle: Handle, keeper: Keeper) -> AttemptResult | int:
        with ExitStack() as held:
            environment = held.enter_context(self.environments.realised(lease.plan.environment))
            kernel_parent = held.enter_context(self.kernel_parents.serving(environment))
            if handle.canceled or handle.killed:
                return AttemptResult(verdict=Verdict.CANCELED)
            run_folder = self.folders.make(lease)
            token = self._start(lease, keeper)
            attempt = self.backend.launch(
                Assignment(
                    execution_id=lease.execution_id,
                    epoch=lease.epoch,
                    plan_digest=lease.plan_digest,
                    plan=lease.plan,
                    control_plane=self.settings.control_plane,
                    run_token=token,
                    secret_digests=[digest_bytes(self.settings.token.encode()), digest_bytes(token.encode())],
                    repositories=list(self.settings.repositories),
                    python=str(environment / "bin" / "python"),
                    kernel_parent=str(kernel_parent),
                    environment_folder=str(environment),
                    support_folder=str(self.support),
                    run_folder=str(run_folder),
                    cache_folder=str(self.folders.cache),
                    fetch_seconds=self.settings.fetch_seconds,
                    fetch_mib=self.settings.fetch_mib,
                )
            )
            handle.attach(attempt)
            return attempt.wait()

    def _start(self, lease: Lease, keeper: Keeper) -> str:
        message = StartExecution(
            epoch=lease.epoch, dispatch_token=lease.dispatch_token, limitations=self.backend.limitations
        )
        pause = FIRST_PAUSE
        while not keeper.is_lost:
            try:
                return self.control_plane.start(lease.execution_id, message).run_token
            except UnreachableError as error:
                log.warning("start of %s was not answered: %s", lease.execution_id, error)
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except ProtocolError as error:  # refused by policy, canceled or given to another: it has ended there
                raise AttemptLostError(str(error)) from error
        raise AttemptLostError("the lease ran out before the attempt could start")

    def _end(self, lease: Lease, result: AttemptResult) -> None:
        control_plane = self.control_plane
        refusal = end_patiently(control_plane, lease.execution_id, lease.epoch, result, patience=END_PATIENCE_SECONDS)
        if refusal:  # nobody shall wait for a run because of what it left
            summary = "The control plane did not accept what the run left."
            result = failed(FailureReason.INFRASTRUCTURE, summary, detail=refusal)
            end_patiently(control_plane, lease.execution_id, lease.epoch, result, patience=END_PATIENCE_SECONDS)


def end_patiently(
    control_plane: Verdicts, execution_id: ExecutionId, epoch: int, result: AttemptResult, *, patience: float
) -> str:
    """Report an end until it is answered, or ``patience`` seconds have passed.

    Returns:
        Why the control plane refused the report, although the attempt is still ours; else nothing.
    """
    message = EndExecution(
        event_id=f"{execution_id}.{epoch}.end",
        epoch=epoch,
        verdict=result.verdict,
        artifacts=result.artifacts,
        provenance=result.provenance,
        failure=result.failure,
    )
    deadline = time.monotonic() + patience
    pause = FIRST_PAUSE
    while time.monotonic() < deadline:
        try:
            control_plane.end(execution_id, message)
        except UnreachableError as error:
            log.warning("end of %s was not answered: %s", execution_id, error)
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        except ProtocolError as error:
            log.warning("end of %s (%s) was refused: %s", execution_id, result.verdict, error)
            return str(error) if isinstance(error, RefusedError) else ""
        else:
            return ""
    log.error("end of %s (%s) was never answered", execution_id, result.verdict)
    return ""


def failed(reason: FailureReason, summary: str, *, detail: str = "", remedy: str = "") -> AttemptResult:
    """Build the result of an attempt that failed outside of its notebook."""
    remedy = remedy or "Submit the run again; if it happens again, tell the operator of the executor."
    failure = Failure(reason=reason, summary=summary, detail=detail, remedy=remedy)
    return AttemptResult(verdict=Verdict.FAILED, failure=failure)


def _died(status: int) -> AttemptResult:
    if status < 0:
        return failed(FailureReason.KILLED, f"The run's supervisor was killed by signal {-status}.")
    return failed(FailureReason.INFRASTRUCTURE, f"The run's supervisor ended with status {status} and no result.")
