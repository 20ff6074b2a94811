# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run executes one notebook at one commit; what it is bound to never changes after it was created."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts.digests import INPUTS_HASH_VERSION, SPEC_HASH_VERSION, Digest, digest_of, typed
from animus_contracts.environments import Resources
from animus_contracts.identifiers import (
    ArtifactId,
    DatasetVersionId,
    DecisionId,
    LockId,
    ProjectId,
    RunId,
    SnapshotId,
)
from animus_contracts.origins import NodeRef, Origin, ScheduleRef
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
    EVENTS_MISSING = "events_missing"


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


class ArtifactBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An artifact of an earlier run, as an input, under the name by which the notebook asks for it.

    Attributes:
        name: The name in ``animus.inputs``.
        artifact_id: Which artifact.
        run_id: The run that produced it.
        artifact: Its name there; the input's only file has the last part of it.
        digest: Digest of its bytes.
        content_digest: Digest of the input's content, computed as for a dataset version with this one file, so that
            equal inputs are equal wherever they come from.
    """

    name: str
    artifact_id: ArtifactId
    run_id: RunId
    artifact: str
    digest: Digest
    content_digest: Digest


class SubmitRun(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Submit a run.

    Attributes:
        code: Which notebook.
        environment_lock_id: What it runs in; a production run needs one, and so does every run that is to start.
        datasets: Dataset version ids by the name the notebook uses.
        artifacts: Ids of earlier runs' artifacts by the name the notebook uses; no name may be in both.
        parameters: Values for the parameters the notebook declares.
        parameters_schema: The notebook's declaration as the client read it at the commit.
        outputs: Names of the artifacts the run must produce; a missing one fails it.
        resources: What the run may use; the environment's limits when absent.
        run_class: ``development`` or ``production``.
        seed: Seed for the run; recorded, and the hash seed is fixed in any case.
        limitations: Limitations the client knows of, such as a dirty worktree.
        labels: Free annotations.
        priority: Place in the project's queue, from -100 to 100; a higher one goes first.
        queue_seconds: How long it may wait for an executor before it fails; for ever when None.
        cell_seconds: How long one cell may take; as long as the run when None.
        retries: How often it is retried after a failure of the infrastructure, from 0 to 5; user code that fails is
            never retried.
        executor_labels: Labels an executor must have to be given the run.
    """

    code: CodeRef
    environment_lock_id: LockId
    datasets: dict[str, DatasetVersionId] = {}
    artifacts: dict[str, ArtifactId] = {}
    parameters: dict[str, Any] = {}
    parameters_schema: list[Parameter] = []
    outputs: list[str] = []
    resources: Resources | None = None
    run_class: RunClass = RunClass.DEVELOPMENT
    seed: int | None = None
    limitations: list[Limitation] = []
    labels: dict[str, str] = {}
    priority: int = 0
    queue_seconds: int | None = None
    cell_seconds: float | None = None
    retries: int = 0
    executor_labels: dict[str, str] = {}


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How many code cells have ended, of how many, and which one runs now (None before and after)."""

    cells_done: int = 0
    cells_total: int = 0
    current_cell: str | None = None


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run.

    Everything up to ``pipeline`` is fixed when the run is created. The rest changes by compare-and-set on
    ``(state, epoch)`` until the state is terminal, and never afterwards. ``version`` counts the changes.

    ``not_before`` holds a retry back until its backoff is over.
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
    artifacts: list[ArtifactBinding] = []
    priority: int = 0
    queue_seconds: int | None = None
    cell_seconds: float | None = None
    retries: int = 0
    executor_labels: dict[str, str] = {}
    not_before: datetime | None = None
    origin: Origin | None = None
    schedule: ScheduleRef | None = None
    pipeline: NodeRef | None = None

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
    inputs: Mapping[str, Digest],
    parameters: dict[str, Any],
    resources: Resources,
    seed: int | None,
) -> Digest:
    """Return the digest of what a run computes from, whoever submits it.

    Inputs (``inputs``: content digests by name) count by content, wherever they come from, the environment by what it
    installs, parameters by their exact typed values.
    """
    return digest_of(
        {
            "code": code,
            "environment": env_hash,
            "datasets": inputs,
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
