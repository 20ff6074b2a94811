# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a submission names is found in its own project, every missing thing told at once, or it is bound to nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from animus_contracts.artifacts import Artifact
from animus_contracts.datasets import DatasetVersion
from animus_contracts.environments import EnvironmentLock
from animus_contracts.identifiers import ArtifactId, DatasetVersionId, ProjectId
from animus_contracts.policies import PolicySnapshot
from animus_contracts.problems import Fault
from animus_contracts.runs import SubmitRun
from animus_control.domain.environments import limit_faults
from animus_control.domain.errors import MissingError
from animus_control.domain.names import refuse
from animus_control.services.calls import Call
from animus_control.services.policies import current_snapshot
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import Readable
from animus_control.services.scope import project_of, require

Record = TypeVar("Record")
Key = TypeVar("Key", bound=str)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a submission is bound to."""

    lock: EnvironmentLock
    versions: Mapping[DatasetVersionId, DatasetVersion]
    artifacts: Mapping[ArtifactId, Artifact]
    snapshot: PolicySnapshot
    snapshot_is_new: bool


def bind(uow: UnitOfWork, call: Call, message: SubmitRun, snapshot: PolicySnapshot | None = None) -> Bound:
    """Find what a submission names.

    Args:
        uow: The unit of work.
        call: Who submits, and in which project.
        message: The submission.
        snapshot: The policies to judge it by; today's when None.

    Raises:
        MissingError: If a lock, a dataset version or an artifact is not in the project.
        InvalidError: ``resource_limit_exceeded``.
    """
    project_id = project_of(call).project_id
    found = uow.environment_locks.get(project_id, message.environment_lock_id)
    lock = require(found, "environment lock", "environment_lock_not_found")
    if message.resources is not None:
        remedy = "Ask for less, or define the next version of the environment with higher limits."
        refuse(limit_faults(message.resources, lock.limits), code="resource_limit_exceeded", remedy=remedy)
    versions, artifacts, faults = _inputs(uow, project_id, message)
    if faults:
        raise MissingError(faults[0].code, f"{faults[0].path}: {faults[0].message}", faults=faults)
    policies, is_new = (snapshot, False) if snapshot else current_snapshot(uow, call)
    return Bound(lock=lock, versions=versions, artifacts=artifacts, snapshot=policies, snapshot_is_new=is_new)


def missing_faults(uow: UnitOfWork, call: Call, message: SubmitRun) -> list[Fault]:
    """Find the inputs that a submission names and the project does not have."""
    _, _, faults = _inputs(uow, project_of(call).project_id, message)
    return faults


def _inputs(
    uow: UnitOfWork, project_id: ProjectId, message: SubmitRun
) -> tuple[Mapping[DatasetVersionId, DatasetVersion], Mapping[ArtifactId, Artifact], list[Fault]]:
    versions, no_versions = _found(
        uow.dataset_versions, project_id, message.datasets, "dataset version", "dataset_version_not_found"
    )
    artifacts, no_artifacts = _found(uow.artifacts, project_id, message.artifacts, "artifact", "artifact_not_found")
    return versions, artifacts, [*no_versions, *no_artifacts]


def _found(
    records: Readable[Record], project_id: ProjectId, wanted: Mapping[str, Key], what: str, code: str
) -> tuple[dict[Key, Record], list[Fault]]:
    found: dict[Key, Record] = {}
    faults = []
    for name, record_id in wanted.items():
        record = records.get(project_id, record_id)
        if record is None:
            words = f"there is no such {what} in this project"
            faults.append(Fault(path=f"$.{what.split(maxsplit=1)[0]}s.{name}", code=code, message=words))
        else:
            found[record_id] = record
    return found, faults
