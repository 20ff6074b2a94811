# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A plan is everything the data plane needs to execute a run, and nothing it could decide differently.

It carries no secret and no credential. Its digest is bound to the run when the run is created and checked by the
runner before anything is fetched.
"""

from __future__ import annotations

from typing import Any

import msgspec

from animus_contracts.datasets import FileEntry
from animus_contracts.digests import PLAN_HASH_VERSION, Digest, digest_of, typed
from animus_contracts.environments import Image, Resources
from animus_contracts.identifiers import ArtifactId, DatasetVersionId, LockId, ProjectId, RunId
from animus_contracts.runs import CodeRef, RunClass

NUMERIC = ("parameters", "resources", "seed", "inputs", "cell_seconds")
"""Members of a plan in which 1 and 1.0 differ."""


# What was added later is left out when it is not used, so that the digests of older plans stay what they are.
class PlannedInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """A dataset version, or an artifact of an earlier run, to materialise under ``name``; exactly one id is set."""

    name: str
    content_digest: Digest
    files: list[FileEntry]
    version_id: DatasetVersionId | None = None
    artifact_id: ArtifactId | None = None


class PlannedEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The environment lock to realise; ``requirements`` is the locked text itself."""

    lock_id: LockId
    env_hash: Digest
    python: str
    platform: str
    requirements: str
    images: list[Image]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """What to execute; ``cell_seconds`` bounds each cell besides the run's own wall time."""

    run_id: RunId
    project_id: ProjectId
    run_class: RunClass
    code: CodeRef
    environment: PlannedEnvironment
    inputs: list[PlannedInput]
    parameters: dict[str, Any]
    parameters_schema_digest: Digest
    outputs: list[str]
    resources: Resources
    seed: int | None
    spec_hash: Digest
    cell_seconds: float | None = None


def plan_digest(plan: Plan) -> Digest:
    """Return the digest of a plan; its numbers count with their exact types."""
    body = msgspec.to_builtins(plan)
    body |= {key: typed(body[key]) for key in NUMERIC if key in body}
    return digest_of(body, version=PLAN_HASH_VERSION)
