# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An artifact is bytes a run produced, named by their digest; it becomes visible when its run ends, all at once."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.digests import Digest
from animus_contracts.identifiers import ArtifactId, ProjectId, RunId
from animus_contracts.runs import Run


class ArtifactKind(StrEnum):
    """Where an artifact came from."""

    NOTEBOOK = "notebook"
    OUTPUT = "output"
    LOGGED = "logged"
    LOG = "log"
    PROVENANCE = "provenance"


class ArtifactEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An artifact as the data plane reports it; its bytes were uploaded before."""

    name: str
    kind: ArtifactKind
    media_type: str
    digest: Digest
    size_bytes: int


class Artifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An artifact of a run."""

    artifact_id: ArtifactId
    project_id: ProjectId
    run_id: RunId
    attempt: int
    name: str
    kind: ArtifactKind
    media_type: str
    digest: Digest
    size_bytes: int
    created_at: datetime


class MadeArtifact(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An artifact that was found by its digest, with the run that made it."""

    artifact: Artifact
    run: Run


class Metric(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One measured value. ``sequence`` orders the metrics of a run."""

    run_id: RunId
    sequence: int
    name: str
    step: int
    value: float
    logged_at: datetime
