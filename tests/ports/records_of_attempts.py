# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An attempt that has ended, and everything it left, in the project of ``records_of_a_project``."""

from __future__ import annotations

from animus_contracts.artifacts import Artifact, ArtifactKind, Metric
from animus_contracts.executions import ExecutionState, Provenance
from animus_contracts.identifiers import ArtifactId
from animus_contracts.lineage import LineageEdge, Predicate
from animus_contracts.runs import Run
from animus_control.services.ports import UnitOfWork
from animus_control.services.run_repositories import StoredToken
from tests.ports.records_of_a_project import NOW, PROJECT_ID, an_execution, digest, identifier

PROVENANCE = Provenance(
    tree="", notebook_digest=digest("n"), python="", implementation="", platform="", packages={}, environment={},
    limitations=[],
)  # fmt: skip
EDGE = LineageEdge(
    edge_id=identifier(62), project_id=PROJECT_ID, subject="a", predicate=Predicate.USED, object="b", created_at=NOW
)


def add_attempt(uow: UnitOfWork, run: Run) -> None:
    execution = an_execution(run, state=ExecutionState.ENDED)
    uow.executions.add(execution)
    uow.executions.set_end_event(execution.execution_id, "e1")
    uow.executions.set_provenance(execution.execution_id, PROVENANCE)
    uow.artifacts.add(
        Artifact(
            artifact_id=ArtifactId(identifier(61)), project_id=PROJECT_ID, run_id=run.run_id, attempt=1, name="a",
            kind=ArtifactKind.OUTPUT, media_type="", digest=digest("a"), size_bytes=1, created_at=NOW,
        )
    )  # fmt: skip
    uow.metrics.add(PROJECT_ID, [Metric(run_id=run.run_id, sequence=1, name="m", step=0, value=1.0, logged_at=NOW)])
    uow.lineage.add([EDGE])
    uow.tokens.add(
        StoredToken(
            token_hash="h", kind="run", execution_id=execution.execution_id, run_id=run.run_id, project_id=PROJECT_ID,
            epoch=1, expires_at=NOW,
        )
    )  # fmt: skip
