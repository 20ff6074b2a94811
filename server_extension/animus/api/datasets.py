# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Datasets: files are hashed while they are read, uploaded under their digest, and then named in a version.

A file that changes between hashing and uploading is refused by the server, because its bytes no longer have the
digest they are sent under.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from animus.api import Group
from animus.errors import RefusedError, UsageError
from animus_contracts.datasets import (
    CreateDataset,
    CreateDatasetVersion,
    Dataset,
    DatasetFile,
    DatasetVersion,
    FileEntry,
    content_digest,
)
from animus_contracts.digests import Digest
from animus_contracts.pages import DigestQuery, ListQuery, NamedListQuery

CHUNK = 1 << 20


class Datasets(Group):
    """The project's datasets and their versions."""

    def create(self, name: str, *, description: str = "", labels: dict[str, str] | None = None) -> Dataset:
        """Create an empty dataset."""
        body = CreateDataset(name=name, description=description, labels=labels or {})
        dataset: Dataset = self._call("datasets.create", body)
        return dataset

    def list(self, name: str | None = None) -> Iterator[Dataset]:
        """Yield datasets, all or the one of this name."""
        yield from self._pages("datasets.list", NamedListQuery(name=name))

    def read(self, dataset: str) -> Dataset:
        """Return a dataset by name or id."""
        found: Dataset = self._call("datasets.read", dataset=dataset)
        return found

    def versions(self, dataset: str) -> Iterator[DatasetVersion]:
        """Yield a dataset's versions, newest first."""
        yield from self._pages("dataset_versions.list", ListQuery(), dataset=dataset)

    def find(self, digest: str) -> Iterator[DatasetFile]:
        """Yield the versions that hold a file with these bytes, newest first."""
        yield from self._pages("dataset_versions.find", DigestQuery(digest=Digest(digest)))

    def version(self, reference: str) -> DatasetVersion:
        """Return the version that ``wine@3`` or ``wine`` (the newest) names.

        Raises:
            RefusedError: If there is none.
        """
        name, _, ordinal = reference.partition("@")
        if ordinal and not (ordinal.isascii() and ordinal.isdigit()):
            raise UsageError("bad_dataset", f"{reference!r} is not NAME or NAME@NUMBER", remedy="for example wine@3")
        newest = 0
        for version in self.versions(name):
            newest = newest or version.ordinal
            if not ordinal or version.ordinal == int(ordinal):
                return version
        raise RefusedError(
            "dataset_version_not_found",
            f"dataset {name!r} has no version {ordinal}" if ordinal else f"dataset {name!r} has no version yet",
            remedy=f"its newest version is {name}@{newest}" if newest else f"animus dataset add {name} FILES",
        )

    def add(
        self, name: str, paths: Iterable[Path], *, description: str = "", metadata: dict[str, str] | None = None
    ) -> DatasetVersion:
        """Make the next version of a dataset of files and folders; the dataset is created when it is new.

        A version whose content is exactly the newest one's is not made twice: the newest one is returned.
        """
        files = collect(paths)
        dataset = next(self.list(name), None) or self.create(name, description=description)
        newest = next(self.versions(dataset.dataset_id), None)
        entries = [FileEntry(path=path, digest=digest_of_file(file), size_bytes=file.stat().st_size)
                   for path, file in files.items()]  # fmt: skip
        if newest and newest.content_digest == content_digest(entries):
            return newest
        known = {entry.digest for entry in newest.files} if newest else set()
        for entry in entries:
            if entry.digest not in known:
                self._upload(entry, files[entry.path])
                known.add(entry.digest)
        body = CreateDatasetVersion(files=entries, metadata=metadata or {})
        version: DatasetVersion = self._call("dataset_versions.create", body, dataset=dataset.dataset_id)
        return version

    def _upload(self, entry: FileEntry, file: Path) -> None:
        path = {"project": self.project, "digest": entry.digest}
        self._transport.upload("objects.put", path, lambda: read_chunks(file), entry.size_bytes)


def collect(paths: Iterable[Path]) -> dict[str, Path]:
    """Map each file's path within the version to where it lies.

    A file stands under its own name, a folder's files under their paths within the folder. Hidden files and whatever
    is not a regular file are left out; a symbolic link is followed only for a path that was named itself.

    Raises:
        UsageError: If there is nothing, or two files claim the same path.
    """
    found: dict[str, Path] = {}
    for path in paths:
        if path.is_dir():
            files = {file.relative_to(path): file for file in sorted(path.rglob("*"))}
            some = {inside.as_posix(): file for inside, file in files.items() if _is_plain(inside, file)}
        elif path.is_file():
            some = {path.name: path}
        else:
            raise UsageError("no_such_file", f"there is no file or folder {str(path)!r}")
        if both := found.keys() & some.keys():
            raise UsageError("same_path_twice", f"two files claim the path {min(both)!r}")
        found |= some
    if not found:
        raise UsageError("no_files", "there are no files to add")
    return found


def _is_plain(inside: Path, file: Path) -> bool:
    hidden = any(part.startswith(".") for part in inside.parts)
    return file.is_file() and not file.is_symlink() and not hidden


def read_chunks(file: Path) -> Iterator[bytes]:
    """Yield a file's bytes, piece by piece."""
    with file.open("rb") as source:
        while chunk := source.read(CHUNK):
            yield chunk


def digest_of_file(file: Path) -> Digest:
    """Return the digest of a file's bytes without holding them all in memory."""
    with file.open("rb") as source:
        return Digest("sha256:" + hashlib.file_digest(source, "sha256").hexdigest())
