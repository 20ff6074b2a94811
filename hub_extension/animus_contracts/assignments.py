# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What an executor tells the runner, and what the runner tells back; both stay inside the data plane.

An assignment travels over a private socket and is never written down with the run token that it carries. A supervisor
outlives the executor that started it: it listens in the run's folder and leaves its result there.
"""

from __future__ import annotations

import msgspec

from animus_contracts.artifacts import ArtifactEntry
from animus_contracts.digests import Digest
from animus_contracts.executions import Provenance, Verdict
from animus_contracts.identifiers import ExecutionId
from animus_contracts.plans import Plan
from animus_contracts.runs import Failure, Limitation

SUPERVISOR_SOCKET = "control"
"""Where a supervisor listens, in the run's folder; its name is short, because sockets have short names."""

RESULT_FILE = "result.json"
"""Where a supervisor leaves its :class:`AttemptResult`, as the last thing it does."""

SUPERVISOR_LOG = "supervisor.log"
"""What a supervisor's own process says, in the run's folder; user code cannot see it."""

GIVEN_UP_FILE = "given-up.json"
"""Why a run was given up on a machine, a :class:`Failure` in its folder; what the run has is delivered afterwards."""


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One attempt, ready to be executed on this machine.

    Attributes:
        control_plane: Base URL of the control plane, without the API prefix.
        run_token: The run's credential.
        run_token_seconds: How long it lasts unless it is renewed.
        secret_digests: Digests of credentials that must never be published; the runner does not learn the
            credentials themselves.
        repositories: Prefixes of the repository URLs that may be fetched.
        python: The interpreter of the realised environment.
        kernel_parent: Socket of the kernel parent that belongs to the environment.
        environment_folder: The realised environment; read-only to the run.
        support_folder: Folder that makes ``animus`` importable in the kernel.
        run_folder: Folder of this attempt; nobody else uses it.
        cache_folder: Where repositories and objects are cached, shared by the runs of this executor.
        fetch_seconds: How long fetching the code may take.
        fetch_mib: Size of the largest pack that may be fetched, in MiB.
        offline_seconds: How long the attempt goes on without a control plane, and without an executor.
        is_remainder: Whether a supervisor that was killed has had it: what it left is delivered, nothing is executed.
    """

    execution_id: ExecutionId
    epoch: int
    plan_digest: Digest
    plan: Plan
    control_plane: str
    run_token: str
    run_token_seconds: float
    secret_digests: list[Digest]
    repositories: list[str]
    python: str
    kernel_parent: str
    environment_folder: str
    support_folder: str
    run_folder: str
    cache_folder: str
    fetch_seconds: float = 120.0
    fetch_mib: int = 2048
    offline_seconds: float = 7200.0
    is_remainder: bool = False

    def __repr__(self) -> str:
        """Name the attempt, and not its credential."""
        return f"Assignment(execution_id={self.execution_id!r}, epoch={self.epoch})"


class AttemptResult(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How an attempt went, as its supervisor saw it; the executor makes the verdict of it."""

    verdict: Verdict
    artifacts: list[ArtifactEntry] = []
    provenance: Provenance | None = None
    failure: Failure | None = None


class RunnerReady(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The runner parent answers assignments from now on; ``limitations`` is the isolation this machine lacks."""

    limitations: list[Limitation]


class Supervising(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a supervisor says first to whoever connects to it.

    Attributes:
        process_started: When its process started, in clock ticks since the machine did (``/proc/<pid>/stat``): with
            the number of the process, which the system itself tells, it names one process for good.
    """

    execution_id: ExecutionId
    epoch: int
    process_started: int


class Renewed(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What an executor tells a supervisor after each heartbeat that was answered.

    Attributes:
        run_token_seconds: How long the run token lasts from now on.
    """

    run_token_seconds: float


def process_start(status: bytes) -> int:
    """Return when a process started, from what ``/proc/<pid>/stat`` holds."""
    return int(status.rpartition(b") ")[2].split()[19])  # the 22nd field; the second one, the name, may hold anything
