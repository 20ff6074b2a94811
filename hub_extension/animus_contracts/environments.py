# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An environment says what a run needs; a lock says exactly what it gets."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.digests import Digest, digest_of
from animus_contracts.identifiers import EnvironmentId, LockId, ProjectId


class EnvironmentState(StrEnum):
    """No lock can be made of an archived environment."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class Resources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a run may use.

    Attributes:
        cpus: Processor cores.
        memory_mib: Memory in MiB.
        gpus: Accelerators.
        wall_seconds: Wall-clock time in seconds, from start to end.
        file_mib: Size of the largest file the run may write, in MiB.
        processes: Processes and threads.
    """

    cpus: float = 1.0
    memory_mib: int = 2048
    gpus: int = 0
    wall_seconds: int = 3600
    file_mib: int = 1024
    processes: int = 256


class Image(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A container image: its name in the environment, its reference, and (in a lock) its digest."""

    name: str
    reference: str
    digest: Digest | None = None


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Version ``version`` of an environment; a change makes the next version and leaves this one as it is.

    Attributes:
        python: Python minor version, such as ``3.11``.
        requirements: What is asked for (PEP 508), before it is pinned.
        limits: The most a run in this environment may ask for.
    """

    environment_id: EnvironmentId
    project_id: ProjectId
    name: str
    version: int
    description: str
    python: str
    requirements: list[str]
    images: list[Image]
    limits: Resources
    state: EnvironmentState
    supersedes: EnvironmentId | None
    created_at: datetime
    created_by: str


class DefineEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Define the next version of the environment ``name``."""

    name: str
    python: str
    requirements: list[str] = []
    description: str = ""
    images: list[Image] = []
    limits: Resources = Resources()


class LockEnvironment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Pin an environment.

    Attributes:
        environment_id: Which version is pinned.
        requirements: A requirements file in which every line is ``name==version`` with at least one
            ``--hash=sha256:…`` (pip's hash-checking mode).
        platform: Platform tag the lock was resolved for, such as ``linux_x86_64``.
        images: Digests for exactly the environment's images.
    """

    environment_id: EnvironmentId
    requirements: str
    platform: str = "linux_x86_64"
    images: list[Image] = []


class EnvironmentLock(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Exactly what a run gets. ``env_hash`` depends on the content alone, see :func:`env_hash`."""

    lock_id: LockId
    project_id: ProjectId
    environment_id: EnvironmentId
    environment: str
    environment_version: int
    python: str
    platform: str
    requirements: str
    images: list[Image]
    limits: Resources
    env_hash: Digest
    created_at: datetime
    created_by: str


def env_hash(*, python: str, platform: str, requirements: str, images: list[Image]) -> Digest:
    """Return the digest of what a lock installs: interpreter, platform, pinned requirements, image digests."""
    return digest_of(
        {
            "python": python,
            "platform": platform,
            "requirements": requirements,
            "images": sorted(images, key=lambda image: image.name),
        },
        version="animus.environment.v1",
    )
