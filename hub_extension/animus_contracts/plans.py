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
from animus_contracts.identifiers import DatasetVersionId, LockId, ProjectId, RunId
from animus_contracts.runs import CodeRef, RunClass


class PlannedInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A dataset version to materialise under ``name``."""

    name: str
    version_id: DatasetVersionId
    content_digest: Digest
    files: list[FileEntry]


class PlannedEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The environment lock to realise; ``requirements`` is the locked text itself."""

    lock_id: LockId
    env_hash: Digest
    python: str
    platform: str
    requirements: str
    images: list[Image]


class Plan(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to execute."""

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


def plan_digest(plan: Plan) -> Digest:
    """Return the digest of a plan; parameters, resources and seed count with their exact types."""
    body = msgspec.to_builtins(plan)
    body |= {key: typed(body[key]) for key in ("parameters", "resources", "seed", "inputs")}
    return digest_of(body, version=PLAN_HASH_VERSION)
