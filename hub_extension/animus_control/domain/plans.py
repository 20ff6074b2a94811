# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A plan repeats what a run is bound to and adds only what the data plane needs to fetch it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from animus_contracts.artifacts import Artifact
from animus_contracts.datasets import DatasetVersion, FileEntry, content_digest
from animus_contracts.environments import EnvironmentLock
from animus_contracts.identifiers import ArtifactId, DatasetVersionId
from animus_contracts.plans import Plan, PlannedEnvironment, PlannedInput
from animus_contracts.runs import ArtifactBinding, Run


def artifact_file(artifact: Artifact) -> FileEntry:
    """Return an artifact as the only file of an input, under the last part of its name."""
    return FileEntry(path=artifact.name.rpartition("/")[2], digest=artifact.digest, size_bytes=artifact.size_bytes)


def bind_artifact(name: str, artifact: Artifact) -> ArtifactBinding:
    """Return an artifact as an input of a run."""
    return ArtifactBinding(
        name=name,
        artifact_id=artifact.artifact_id,
        run_id=artifact.run_id,
        artifact=artifact.name,
        digest=artifact.digest,
        content_digest=content_digest([artifact_file(artifact)]),
    )


def build_plan(
    run: Run,
    lock: EnvironmentLock,
    versions: Mapping[DatasetVersionId, DatasetVersion],
    artifacts: Mapping[ArtifactId, Artifact],
) -> Plan:
    """Build the plan of a run.

    Args:
        run: The run; its ``plan_digest`` is not looked at.
        lock: The environment lock it is bound to.
        versions: The dataset versions it is bound to, by id.
        artifacts: The artifacts it is bound to, by id.
    """
    return Plan(
        run_id=run.run_id,
        project_id=run.project_id,
        run_class=run.run_class,
        code=run.code,
        environment=PlannedEnvironment(
            lock_id=lock.lock_id,
            env_hash=lock.env_hash,
            python=lock.python,
            platform=lock.platform,
            requirements=lock.requirements,
            images=lock.images,
        ),
        inputs=[*_from_datasets(run, versions), *_from_artifacts(run, artifacts)],
        parameters=run.parameters,
        parameters_schema_digest=run.parameters_schema_digest,
        outputs=run.outputs,
        resources=run.resources,
        seed=run.seed,
        spec_hash=run.spec_hash,
        cell_seconds=run.cell_seconds,
    )


def _from_datasets(run: Run, versions: Mapping[DatasetVersionId, DatasetVersion]) -> Iterator[PlannedInput]:
    for binding in run.datasets:
        yield PlannedInput(
            name=binding.name,
            version_id=binding.version_id,
            content_digest=binding.content_digest,
            files=versions[binding.version_id].files,
        )


def _from_artifacts(run: Run, artifacts: Mapping[ArtifactId, Artifact]) -> Iterator[PlannedInput]:
    for binding in run.artifacts:
        yield PlannedInput(
            name=binding.name,
            artifact_id=binding.artifact_id,
            content_digest=binding.content_digest,
            files=[artifact_file(artifacts[binding.artifact_id])],
        )
