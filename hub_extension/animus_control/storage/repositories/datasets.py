# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A dataset and its versions never change; a version is found by the bytes of its files without being read."""

from __future__ import annotations

from sqlalchemy import and_, bindparam, select

from animus_contracts.datasets import Dataset, DatasetFile, DatasetVersion
from animus_contracts.digests import Digest
from animus_contracts.identifiers import ProjectId
from animus_contracts.pages import Page
from animus_control.storage.cursors import decode_text, page_of
from animus_control.storage.prepared import Prepared, adding
from animus_control.storage.repositories.records import Layout
from animus_control.storage.session import Session
from animus_control.storage.tables import dataset_files, dataset_versions, datasets

DATASETS = Layout[Dataset](datasets)
DATASET_VERSIONS = Layout[DatasetVersion](dataset_versions)
_ADD = adding(dataset_files)
_FOUND = (
    select(
        dataset_files.c.version_id,
        datasets.c.name.label("dataset"),
        dataset_versions.c.ordinal,
        dataset_files.c.path,
        dataset_files.c.digest,
    )
    .join_from(
        dataset_files,
        dataset_versions,
        and_(
            dataset_versions.c.project_id == dataset_files.c.project_id,
            dataset_versions.c.version_id == dataset_files.c.version_id,
        ),
    )
    .join(
        datasets,
        and_(
            datasets.c.project_id == dataset_versions.c.project_id,
            datasets.c.dataset_id == dataset_versions.c.dataset_id,
        ),
    )
    .where(dataset_files.c.project_id == bindparam("project"), dataset_files.c.digest == bindparam("wanted"))
    .order_by(dataset_files.c.version_id.desc())
    .limit(bindparam("count"))
)
_FIRST = Prepared(_FOUND)
_NEXT = Prepared(_FOUND.where(dataset_files.c.version_id < bindparam("after")))


class DatasetFileTable:
    """Which dataset versions hold which bytes."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, version: DatasetVersion) -> None:
        """Note the files of a new version; of several with the same bytes the first by path."""
        paths = {entry.digest: entry.path for entry in sorted(version.files, key=lambda it: it.path, reverse=True)}
        key = {"project_id": version.project_id, "version_id": version.version_id}
        self._session.add_many(_ADD, [{**key, "digest": digest, "path": path} for digest, path in paths.items()])

    def page(self, project_id: ProjectId, *, limit: int, cursor: str | None, digest: Digest) -> Page[DatasetFile]:
        """Return a page of the versions with these bytes, newest first.

        Raises:
            ValueError: On a bad cursor.
        """
        values = {"project": project_id, "wanted": digest, "count": limit + 1}
        after = {} if cursor is None else {"after": decode_text(cursor)}
        rows = self._session.all(_NEXT if after else _FIRST, values | after)
        return page_of([DatasetFile(**row._asdict()) for row in rows], [row.version_id for row in rows], limit)
