# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run executes one notebook at one commit; what it is bound to never changes after it was created."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts.digests import INPUTS_HASH_VERSION, SPEC_HASH_VERSION, Digest, digest_of, typed
from animus_contracts.environments import Resources
from animus_contracts.identifiers import DatasetVersionId, DecisionId, LockId, ProjectId, RunId, SnapshotId
from animus_contracts.parameters import Parameter


class RunClass(StrEnum):
    """A production run refuses every limitation; a development run records them."""

    DEVELOPMENT = "development"
    PRODUCTION = "production"


class RunState(StrEnum):
    """Where a run is. Values leave the process and never change."""

    CREATED = "created"
    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting_approval"
    QUEUED = "queued"
    DISPATCHING = "dispatching"
    RUNNING = "running"
    UNKNOWN = "unknown"
    RECONCILING = "reconciling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"


TERMINAL_STATES = frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED})


class FailureReason(StrEnum):
    """Why a run failed, in one word that tools may act on."""

    USER_CODE = "user_code"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    KILLED = "killed"
    ENVIRONMENT = "environment"
    INPUT = "input"
    INFRASTRUCTURE = "infrastructure"
    POLICY = "policy"


class Limitation(StrEnum):
    """What a run cannot prove or was not protected from."""

    DIRTY_WORKTREE = "dirty_worktree"
    NETWORK_NOT_ISOLATED = "network_not_isolated"
    FILESYSTEM_NOT_ISOLATED = "filesystem_not_isolated"
    MEMORY_NOT_LIMITED = "memory_not_limited"
    SEED_NOT_SET = "seed_not_set"


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """Why a run failed, for a person.

    Attributes:
        reason: The reason, typed.
        summary: One sentence.
        detail: What was seen (for user code the traceback, without terminal colours).
        remedy: What to do about it.
        cell_id: nbformat id of the failing cell, for user code.
        cell_index: Its position in the notebook at the commit, counted from 0.
        exception: ``Name: message`` of the exception, for user code.
    """

    reason: FailureReason
    summary: str
    detail: str = ""
    remedy: str = ""
    cell_id: str = ""
    cell_index: int | None = None
    exception: str = ""


class CodeRef(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A notebook in a repository at a commit.

    Attributes:
        repository: URL of the repository.
        commit: Full commit id, 40 lower-case hexadecimal characters; never a branch or a tag.
        path: POSIX path of the notebook within the repository.
    """

    repository: str
    commit: str
    path: str


class DatasetBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A dataset version under the name by which the notebook asks for it."""

    name: str
    version_id: DatasetVersionId
    dataset: str
    ordinal: int
    content_digest: Digest


class SubmitRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Submit a run.

    Attributes:
        code: Which notebook.
        environment_lock_id: What it runs in; a production run needs one, and so does every run that is to start.
        datasets: Dataset version ids by the name the notebook uses.
        parameters: Values for the parameters the notebook declares.
        parameters_schema: The notebook's declaration as the client read it at the commit.
        outputs: Names of the artifacts the run must produce; a missing one fails it.
        resources: What the run may use; the environment's limits when absent.
        run_class: ``development`` or ``production``.
        seed: Seed for the run; recorded, and the hash seed is fixed in any case.
        limitations: Limitations the client knows of, such as a dirty worktree.
        labels: Free annotations.
    """

    code: CodeRef
    environment_lock_id: LockId
    datasets: dict[str, DatasetVersionId] = {}
    parameters: dict[str, Any] = {}
    parameters_schema: list[Parameter] = []
    outputs: list[str] = []
    resources: Resources | None = None
    run_class: RunClass = RunClass.DEVELOPMENT
    seed: int | None = None
    limitations: list[Limitation] = []
    labels: dict[str, str] = {}


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many code cells have ended, of how many, and which one runs now (None before and after)."""

    cells_done: int = 0
    cells_total: int = 0
    current_cell: str | None = None


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run.

    Everything up to ``created_by`` is fixed when the run is created. The rest changes by compare-and-set on
    ``(state, epoch)`` until the state is terminal, and never afterwards. ``version`` counts the changes.
    """

    run_id: RunId
    project_id: ProjectId
    run_class: RunClass
    code: CodeRef
    environment_lock_id: LockId
    env_hash: Digest
    datasets: list[DatasetBinding]
    parameters: dict[str, Any]
    parameters_schema_digest: Digest
    outputs: list[str]
    resources: Resources
    seed: int | None
    labels: dict[str, str]
    policy_snapshot_id: SnapshotId
    policy_snapshot_digest: Digest
    policy_decision_id: DecisionId
    inputs_hash: Digest
    spec_hash: Digest
    plan_digest: Digest
    created_at: datetime
    created_by: str

    state: RunState
    version: int = 1
    attempt: int = 0
    epoch: int = 0
    limitations: list[Limitation] = []
    progress: Progress = Progress()
    queued_at: datetime | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    failure: Failure | None = None


class CancelRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Ask for a run to be stopped; a run that has ended stays as it is."""

    reason: str = ""


def inputs_hash(
    *,
    code: CodeRef,
    env_hash: Digest,
    datasets: list[DatasetBinding],
    parameters: dict[str, Any],
    resources: Resources,
    seed: int | None,
) -> Digest:
    """Return the digest of what a run computes from, whoever submits it.

    Dataset versions count by content, the environment by what it installs, parameters by their exact typed values.
    """
    return digest_of(
        {
            "code": code,
            "environment": env_hash,
            "datasets": {binding.name: binding.content_digest for binding in datasets},
            "parameters": typed(parameters),
            "resources": typed(msgspec.to_builtins(resources)),
            "seed": typed(seed),
        },
        version=INPUTS_HASH_VERSION,
    )


def spec_hash(*, inputs: Digest, policy_snapshot: Digest, run_class: RunClass) -> Digest:
    """Return the digest of the inputs together with the rules in force and the run's class."""
    return digest_of(
        {"inputs": inputs, "policy_snapshot": policy_snapshot, "run_class": run_class}, version=SPEC_HASH_VERSION
    )
