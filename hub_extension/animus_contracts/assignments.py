# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What an executor tells the runner, and what the runner tells back; both stay inside the data plane.

An assignment travels over a private socket and is never written down, because it carries the run token.
"""

from __future__ import annotations

import msgspec

from animus_contracts.artifacts import ArtifactEntry
from animus_contracts.digests import Digest
from animus_contracts.executions import Provenance, Verdict
from animus_contracts.identifiers import ExecutionId
from animus_contracts.plans import Plan
from animus_contracts.runs import Failure, Limitation


class Assignment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One attempt, ready to be executed on this machine.

    Attributes:
        control_plane: Base URL of the control plane, without the API prefix.
        run_token: The run's credential.
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
    """

    execution_id: ExecutionId
    epoch: int
    plan_digest: Digest
    plan: Plan
    control_plane: str
    run_token: str
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


class SupervisorStarted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="started", kw_only=True):
    """A supervisor runs, as leader of the process group ``process``."""

    process: int


class SupervisorReported(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="reported", kw_only=True):
    """The supervisor's result; its process is about to exit."""

    result: AttemptResult


class SupervisorExited(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="exited", kw_only=True):
    """The supervisor is gone; ``status`` is its exit code, or minus the signal that killed it."""

    status: int


SupervisorMessage = SupervisorStarted | SupervisorReported | SupervisorExited
