# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A dataset version is an immutable, ordered list of files, each named by its digest."""

from __future__ import annotations

from datetime import datetime

import msgspec

from animus_contracts.digests import Digest, digest_of
from animus_contracts.identifiers import DatasetId, DatasetVersionId, ProjectId


class Dataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A named series of versions; names are unique within the project."""

    dataset_id: DatasetId
    project_id: ProjectId
    name: str
    description: str
    labels: dict[str, str]
    created_at: datetime
    created_by: str


class CreateDataset(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Create an empty dataset."""

    name: str
    description: str = ""
    labels: dict[str, str] = {}


class FileEntry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One file: relative POSIX path, SHA-256 digest, size in bytes."""

    path: str
    digest: Digest
    size_bytes: int


class DatasetVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Version ``ordinal`` (1, 2, …) of a dataset.

    ``content_digest`` is :func:`content_digest` of ``files``, so it does not depend on who uploaded them or when.
    """

    version_id: DatasetVersionId
    dataset_id: DatasetId
    dataset: str
    project_id: ProjectId
    ordinal: int
    content_digest: Digest
    size_bytes: int
    files: list[FileEntry]
    metadata: dict[str, str]
    created_at: datetime
    created_by: str


class DatasetFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A dataset version that was found by the digest of one of its files.

    Attributes:
        path: The file; the first of those with these bytes.
    """

    version_id: DatasetVersionId
    dataset: str
    ordinal: int
    path: str
    digest: Digest


class CreateDatasetVersion(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Make a version of files whose bytes were uploaded to the project before."""

    files: list[FileEntry]
    metadata: dict[str, str] = {}


class StoredObject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bytes the server holds and has hashed itself."""

    digest: Digest
    size_bytes: int


def content_digest(files: list[FileEntry]) -> Digest:
    """Return the digest of a list of files, independent of their order."""
    return digest_of(sorted(files, key=lambda entry: entry.path), version="animus.dataset.v1")
