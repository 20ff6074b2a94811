# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The data plane's protocol: it pulls leases, reports what it sees, and gives the verdict.

An execution is one attempt at a run, held under a lease with an epoch. Every report names its epoch; a report of an
older epoch is refused (``stale_epoch``), so of two executors that both believe they hold a run only one can commit.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts.artifacts import ArtifactEntry
from animus_contracts.digests import Digest
from animus_contracts.identifiers import ExecutionId, ProjectId, RunId
from animus_contracts.plans import Plan
from animus_contracts.runs import Failure, Limitation, RunState


class ExecutionState(StrEnum):
    """Where an attempt is."""

    LEASED = "leased"
    RUNNING = "running"
    ENDED = "ended"
    LOST = "lost"


class Execution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One attempt at a run. Lease times are the control plane's.

    ``stop_by`` is set when the run is past its wall time: then the control plane waits no longer for its end.
    """

    execution_id: ExecutionId
    run_id: RunId
    project_id: ProjectId
    attempt: int
    epoch: int
    executor: str
    state: ExecutionState
    leased_at: datetime
    lease_expires_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    verdict: Verdict | None = None
    cancel_requested: bool = False
    stop_by: datetime | None = None
    last_sequence: int = 0


class Verdict(StrEnum):
    """How an attempt ended, in the executor's word; never the user code's."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


class Capacity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an executor has free: processor cores, memory in MiB, accelerators."""

    cpus: float
    memory_mib: int
    gpus: int = 0


class LeaseRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask for one run to execute.

    Attributes:
        wait_seconds: How long to wait for one, at most 30.
        limitations: What this executor cannot provide (isolation it lacks); a production run that would suffer from
            one of them is not given to it.
        platform: Platform tag, such as ``linux_x86_64``.
        labels: What the executor says of itself; a run may ask for some of them.
        capacity: What is free now; a run that asks for more is not given to it. None sets no bound.
    """

    wait_seconds: float = 20.0
    limitations: list[Limitation] = []
    platform: str = "linux_x86_64"
    labels: dict[str, str] = {}
    capacity: Capacity | None = None


class CancellationsRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Wait until one of the executor's attempts is to be stopped.

    Attributes:
        wait_seconds: How long to wait, at most 30.
        known: Attempts whose cancellation is known already.
    """

    wait_seconds: float = 20.0
    known: list[ExecutionId] = []


class Cancellations(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Live attempts of the asking executor that are to be stopped, without the known ones."""

    cancel: list[ExecutionId]


class Lease(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The right to execute one attempt, until it expires or is renewed by a heartbeat.

    Attributes:
        lease_seconds: How long the lease lasts from the moment it was granted or renewed. The executor counts on
            its own monotonic clock from *before* it asked, so clock differences cannot extend it.
        dispatch_token: Exchanged once, at start, for the run token.
    """

    execution_id: ExecutionId
    run_id: RunId
    project_id: ProjectId
    attempt: int
    epoch: int
    lease_seconds: float
    heartbeat_seconds: float
    dispatch_token: str
    plan_digest: Digest
    plan: Plan

    def __repr__(self) -> str:
        """Name the attempt, and not its credential."""
        return f"Lease(execution_id={self.execution_id!r}, run_id={self.run_id!r}, epoch={self.epoch})"


class LeaseReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A lease, or None when nothing was to be done in time."""

    lease: Lease | None


class StartExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The attempt starts now; the dispatch token is used up.

    ``limitations`` are the ones the executor found for this very run.
    """

    epoch: int
    dispatch_token: str
    limitations: list[Limitation] = []

    def __repr__(self) -> str:
        """Tell everything but the credential."""
        return f"StartExecution(epoch={self.epoch}, limitations={self.limitations})"


class RunCredentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run token: for one run, attempt and epoch; dead in the transaction that ends the attempt."""

    run_token: str
    expires_in_seconds: float

    def __repr__(self) -> str:
        """Tell everything but the credential."""
        return f"RunCredentials(expires_in_seconds={self.expires_in_seconds})"


class RenewCredentials(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Whoever had the run token is gone: another one, for what is left to be delivered."""

    epoch: int


class Heartbeat(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The attempt is alive."""

    epoch: int


class HeartbeatReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The lease is renewed, and the run token's life with it; ``cancel`` asks the executor to stop the attempt."""

    lease_seconds: float
    token_expires_in_seconds: float
    cancel: bool


class Provenance(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an attempt actually ran with, as the data plane measured it.

    Attributes:
        tree: Git tree id of the commit.
        notebook_digest: Digest of the notebook's bytes at the commit.
        python: Version of the kernel's interpreter.
        implementation: Interpreter, such as ``CPython``.
        platform: ``platform.platform()`` of the machine.
        packages: Installed distributions of the kernel's environment, name to version.
        environment: Variables the platform set for determinism (hash seed, thread counts).
        limitations: What the attempt was not protected from.
        peak_memory_mib: Peak resident memory of the kernel, in MiB; None when unknown.
        images: Digests of the container images that ran.
    """

    tree: str
    notebook_digest: Digest
    python: str
    implementation: str
    platform: str
    packages: dict[str, str]
    environment: dict[str, str]
    limitations: list[Limitation]
    peak_memory_mib: float | None = None
    images: list[str] = []
    extra: dict[str, Any] = {}


class EndExecution(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The attempt's end and verdict; ``failure`` exactly when failed. ``event_id`` makes a repeat harmless."""

    event_id: str
    epoch: int
    verdict: Verdict
    artifacts: list[ArtifactEntry] = []
    provenance: Provenance | None = None
    failure: Failure | None = None


class ExecutionEnded(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The run's state after the verdict; ``duplicate`` when this very event was accepted before."""

    state: RunState
    duplicate: bool
