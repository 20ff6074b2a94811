# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An artifact is visible once its run has ended, and only below its run; each download is audited."""

from __future__ import annotations

from animus_contracts.artifacts import Artifact, MadeArtifact
from animus_contracts.audit import Action
from animus_contracts.pages import DigestQuery, ListQuery, Page
from animus_control.domain.names import digest_faults, refuse
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.objects import Content
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id, project_of, require


@operation("artifacts.list")
def list_artifacts(uow: UnitOfWork, call: Call, message: ListQuery) -> Page[Artifact]:
    """List a run's artifacts."""
    run = by_id(call, uow.runs, "run", "run")
    return paged(uow.artifacts.page, message, run.project_id, run_id=run.run_id)


@operation("artifacts.find")
def find_artifacts(uow: UnitOfWork, call: Call, message: DigestQuery) -> Page[MadeArtifact]:
    """Find artifacts by the digest of their bytes."""
    refuse(digest_faults(message.digest), code="invalid_query")
    page = paged(uow.artifacts.page, message, project_of(call).project_id, digest=message.digest)
    made = [
        MadeArtifact(artifact=artifact, run=require(uow.runs.get(artifact.project_id, artifact.run_id), "run"))
        for artifact in page.items
    ]
    return Page(items=made, next_cursor=page.next_cursor)


@operation("artifacts.download")
def for_download(uow: UnitOfWork, call: Call, message: None) -> Content:  # noqa: ARG001 - every operation has a message
    """Return the artifact that a download names, and audit the download."""
    artifact = by_id(call, uow.artifacts, "artifact", "artifact")
    require(artifact if artifact.run_id == call.path["run"] else None, "artifact")
    details = {"run_id": artifact.run_id, "name": artifact.name, "digest": artifact.digest}
    resource = f"artifact:{artifact.artifact_id}"
    uow.audit.append(audited(call, Action.ARTIFACT_DOWNLOADED, resource, details=details))
    return Content(digest=artifact.digest, size_bytes=artifact.size_bytes, name=artifact.name)
