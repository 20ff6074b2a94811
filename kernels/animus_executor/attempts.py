# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One attempt, from its lease to its verdict. The verdict is given here, once per attempt, under one event id.

An attempt whose lease is lost is killed and says nothing: somebody else may have the run. One that a predecessor of
this executor started is adopted: watched, kept and ended as if it were our own.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec

from animus_contracts.assignments import SUPERVISOR_LOG, Assignment, AttemptResult
from animus_contracts.digests import digest_bytes
from animus_contracts.executions import (
    EndExecution,
    ExecutionEnded,
    Lease,
    RenewCredentials,
    RunCredentials,
    StartExecution,
    Verdict,
)
from animus_contracts.identifiers import ExecutionId
from animus_contracts.plans import PlannedEnvironment
from animus_contracts.runs import FailureReason
from animus_executor.backends import Attempt, Backend, BackendError
from animus_executor.control_plane import ProtocolError, UnreachableError
from animus_executor.handles import Handle
from animus_executor.installation import InterruptedBuildError, UnrealisableError
from animus_executor.kernel_parents import KernelParentError
from animus_executor.leases import Beats, Held, Keeper
from animus_executor.machine import Occupancy
from animus_executor.runs import Record, RunFolders, kill_processes_of
from animus_executor.settings import Settings
from animus_executor.verdicts import FIRST_PAUSE, LONGEST_PAUSE, failed, report

log = logging.getLogger(__name__)

LOG_BYTES = 4096


class Verdicts(Beats, Protocol):
    """The control plane, as far as one attempt needs it."""

    def start(self, execution_id: str, message: StartExecution) -> RunCredentials:
        """Start an attempt."""

    def renew(self, execution_id: str, message: RenewCredentials) -> RunCredentials:
        """Replace the run token of a started attempt."""

    def end(self, execution_id: str, message: EndExecution) -> ExecutionEnded:
        """End an attempt."""


class Realises(Protocol):
    """What makes environments."""

    def realised(self, planned: PlannedEnvironment, stopping: threading.Event) -> AbstractContextManager[Path]:
        """Hold the folder of a lock's environment; building it ends when ``stopping`` is set."""

    def held(self, folder: Path) -> AbstractContextManager[None]:
        """Hold an environment that was realised before."""


class ServesKernels(Protocol):
    """What starts kernels in environments."""

    def serving(self, environment: Path) -> AbstractContextManager[Path]:
        """Hold the socket of an environment's kernel parent."""


class AttemptLostError(Exception):
    """The lease is not ours any more, or never became an attempt: there is nothing to report."""


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
        occupancy: What attempts take of the machine.
        active: Attempts at work, by execution id.
    """

    settings: Settings
    control_plane: Verdicts
    environments: Realises
    kernel_parents: ServesKernels
    backend: Backend
    folders: RunFolders
    support: Path
    occupancy: Occupancy
    active: dict[str, Handle] = field(default_factory=dict)

    def execute(self, lease: Lease, asked_at: float) -> None:
        """Execute one leased attempt and report its end.

        Args:
            lease: The lease.
            asked_at: Monotonic time before it was asked for.
        """
        self._keep(lease, asked_at, lambda handle, keeper: self._launched(lease, handle, keeper))

    def adopt(self, record: Record) -> None:
        """Go on with an attempt that a predecessor started, and report its end.

        Args:
            record: What the predecessor noted about it.
        """
        self._keep(record, None, lambda handle, _: self._adopted(record, handle))

    def _keep(self, held: Held, asked_at: float | None, work: Callable[[Handle, Keeper], AttemptResult | None]) -> None:
        handle = self.active[held.execution_id] = Handle()
        keeper = Keeper(
            held,
            asked_at=asked_at,
            control_plane=self.control_plane,
            attempt=handle,
            offline_seconds=self.settings.offline_seconds,
        )
        try:
            with keeper:
                result = self._result(held, lambda: work(handle, keeper), handle, keeper)
                if result is None:
                    log.warning("attempt %s is lost", held.execution_id)
                    return
                patience = self.settings.offline_seconds
                report(self.control_plane, held.execution_id, held.epoch, result, patience=patience)
        finally:
            self.folders.remove(held.execution_id)
            self.occupancy.release(held.execution_id)
            del self.active[held.execution_id]

    def _result(
        self, held: Held, work: Callable[[], AttemptResult | None], handle: Handle, keeper: Keeper
    ) -> AttemptResult | None:
        try:
            outcome = work()
        except InterruptedBuildError:
            outcome = AttemptResult(verdict=Verdict.CANCELED)
        except UnrealisableError as error:
            outcome = failed(FailureReason.ENVIRONMENT, str(error), detail=error.detail, remedy=error.remedy)
        except KernelParentError as error:
            remedy = "Run a kernel in this environment on your machine to see why, then lock it again."
            summary = "The environment cannot start kernels."
            outcome = failed(FailureReason.ENVIRONMENT, summary, detail=str(error), remedy=remedy)
        except (BackendError, OSError) as error:
            outcome = failed(FailureReason.INFRASTRUCTURE, "The executor cannot start runs.", detail=str(error))
        except AttemptLostError as error:
            log.warning("attempt %s cannot start: %s", held.execution_id, error)
            return None
        if outcome is None:
            kill_processes_of(held.run_id)
            outcome = self._salvaged(held, handle, keeper)
        if handle.killed:
            return None if keeper.is_lost else failed(FailureReason.INFRASTRUCTURE, "The executor was stopped.")
        if outcome is not None:
            return outcome
        return AttemptResult(verdict=Verdict.CANCELED) if handle.canceled else self._killed(held.execution_id)

    def _salvaged(self, held: Held, handle: Handle, keeper: Keeper) -> AttemptResult | None:
        """Have what a killed supervisor left delivered by another one; None when nothing can be."""
        record = self.folders.recorded(held.execution_id)
        if record is None or handle.stopping.is_set():
            return None
        ask = RenewCredentials(epoch=held.epoch)
        try:
            given = self._answered(keeper, lambda: self.control_plane.renew(held.execution_id, ask))
            assignment = msgspec.structs.replace(
                record.assignment,
                control_plane=self.settings.control_plane,
                run_token=given.run_token,
                run_token_seconds=given.expires_in_seconds,
                is_remainder=True,
            )
            return _ended(self.backend.launch(assignment), handle)
        except (AttemptLostError, BackendError, OSError) as error:
            log.warning("nothing of %s can be salvaged: %s", held.execution_id, error)
            return None

    def _launched(self, lease: Lease, handle: Handle, keeper: Keeper) -> AttemptResult | None:
        with ExitStack() as held:
            environment = held.enter_context(self.environments.realised(lease.plan.environment, handle.stopping))
            kernel_parent = held.enter_context(self.kernel_parents.serving(environment))
            if handle.stopping.is_set():
                return AttemptResult(verdict=Verdict.CANCELED)
            self.folders.make(lease.execution_id)
            given = self._start(lease, keeper)
            assignment = self._assignment(lease, given, environment, kernel_parent)
            self.folders.record(lease, assignment)
            return _ended(self.backend.launch(assignment), handle)

    def _adopted(self, record: Record, handle: Handle) -> AttemptResult | None:
        with self.environments.held(Path(record.environment)):
            attempt = self.backend.adopt(self.folders.path(record.execution_id), record.execution_id, record.epoch)
            log.info("%s attempt %s", "adopted" if attempt.is_running else "found the end of", record.execution_id)
            return _ended(attempt, handle)

    def _assignment(self, lease: Lease, given: RunCredentials, environment: Path, kernel_parent: Path) -> Assignment:
        token = given.run_token
        return Assignment(
            execution_id=lease.execution_id,
            epoch=lease.epoch,
            plan_digest=lease.plan_digest,
            plan=lease.plan,
            control_plane=self.settings.control_plane,
            run_token=token,
            run_token_seconds=given.expires_in_seconds,
            secret_digests=[digest_bytes(self.settings.token.encode()), digest_bytes(token.encode())],
            repositories=list(self.settings.repositories),
            python=str(environment / "bin" / "python"),
            kernel_parent=str(kernel_parent),
            environment_folder=str(environment),
            support_folder=str(self.support),
            run_folder=str(self.folders.path(lease.execution_id)),
            cache_folder=str(self.folders.cache),
            fetch_seconds=self.settings.fetch_seconds,
            fetch_mib=self.settings.fetch_mib,
            offline_seconds=self.settings.offline_seconds,
        )

    def _start(self, lease: Lease, keeper: Keeper) -> RunCredentials:
        message = StartExecution(
            epoch=lease.epoch, dispatch_token=lease.dispatch_token, limitations=self.backend.limitations
        )
        given = self._answered(keeper, lambda: self.control_plane.start(lease.execution_id, message))
        keeper.attempt_started()
        return given

    def _answered(self, keeper: Keeper, ask: Callable[[], RunCredentials]) -> RunCredentials:
        """Ask for a run token until there is an answer, as long as the lease lasts."""
        pause = FIRST_PAUSE
        while not keeper.is_lost:
            try:
                return ask()
            except UnreachableError as error:
                if pause == FIRST_PAUSE:
                    log.warning("nobody gives a run token: %s", error)
                time.sleep(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
            except ProtocolError as error:  # refused by policy, canceled or given to another: it has ended there
                raise AttemptLostError(str(error)) from error
        raise AttemptLostError("the lease ran out before there was a run token")

    def _killed(self, execution_id: ExecutionId) -> AttemptResult:
        """Build the result of an attempt whose supervisor left none; its log may have its last words."""
        file = self.folders.path(execution_id) / SUPERVISOR_LOG
        said = file.read_bytes()[-LOG_BYTES:].decode(errors="replace") if file.exists() else ""
        return failed(FailureReason.KILLED, "The run's supervisor was killed.", detail=said)


def _ended(attempt: Attempt, handle: Handle) -> AttemptResult | None:
    handle.attach(attempt)
    return attempt.wait()
