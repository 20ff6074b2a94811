# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An edge points from what was made to what it was made of, except that a run *produced* its artifacts."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from animus_contracts.artifacts import Artifact
from animus_contracts.datasets import DatasetVersion
from animus_contracts.environments import EnvironmentLock
from animus_contracts.identifiers import ProjectId
from animus_contracts.lineage import LineageEdge, Predicate
from animus_contracts.runs import Run

Triple = tuple[str, Predicate, str]


def node(kind: str, identifier: str) -> str:
    """Return the name of an entity in the graph, such as ``run:0198…``."""
    return f"{kind}:{identifier}"


def of_version(version: DatasetVersion) -> list[Triple]:
    """Return the edge from a dataset to its version."""
    head, tail = node("dataset", version.dataset_id), node("dataset_version", version.version_id)
    return [(head, Predicate.HAS_VERSION, tail)]


def of_lock(lock: EnvironmentLock) -> list[Triple]:
    """Return the edge from a lock to the environment it pins."""
    head, tail = node("environment_lock", lock.lock_id), node("environment", lock.environment_id)
    return [(head, Predicate.BUILT_FROM, tail)]


def of_submission(run: Run) -> list[Triple]:
    """Return the edges from a run to its code, its environment and its inputs."""
    head = node("run", run.run_id)
    return [
        (head, Predicate.BUILT_FROM, node("commit", run.code.commit)),
        (head, Predicate.RAN_IN, node("environment_lock", run.environment_lock_id)),
        *((head, Predicate.USED, node("dataset_version", version)) for version in _versions(run)),
        *((head, Predicate.USED, node("artifact", artifact)) for artifact in _artifacts(run)),
    ]


def of_artifacts(run: Run, artifacts: Iterable[Artifact]) -> list[Triple]:
    """Return the edges from a run to what it produced."""
    head = node("run", run.run_id)
    return [(head, Predicate.PRODUCED, node("artifact", artifact.artifact_id)) for artifact in artifacts]


def build_edges(
    triples: Iterable[Triple], *, project_id: ProjectId, now: datetime, new_id: Callable[[], str]
) -> list[LineageEdge]:
    """Turn triples into edges of a project."""
    return [
        LineageEdge(
            edge_id=new_id(), project_id=project_id, subject=head, predicate=predicate, object=tail, created_at=now
        )
        for head, predicate, tail in triples
    ]


def _versions(run: Run) -> list[str]:
    return list(dict.fromkeys(binding.version_id for binding in run.datasets))


def _artifacts(run: Run) -> list[str]:
    return list(dict.fromkeys(binding.artifact_id for binding in run.artifacts))
