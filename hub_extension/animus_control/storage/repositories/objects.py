# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A project holds an object from the moment its bytes arrived there; a digest alone opens nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import bindparam, select

from animus_contracts.datasets import StoredObject
from animus_contracts.digests import Digest
from animus_contracts.identifiers import ProjectId
from animus_control.storage.prepared import adding
from animus_control.storage.session import Session
from animus_control.storage.tables import project_objects as table

BATCH = 10_000  # SQLite binds at most 32,766 values, PostgreSQL 65,535
_ADD = adding(table)
_SIZES = select(table.c.digest, table.c.size_bytes).where(
    table.c.project_id == bindparam("project"), table.c.digest.in_(bindparam("digests", expanding=True))
)


class ProjectObjectTable:
    """Which stored objects a project holds."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, project_id: ProjectId, stored: StoredObject, at: datetime) -> None:
        """Note that the project holds the object; noting it again changes nothing."""
        # There is one writer at a time, so what is not there now is not there when it is inserted.
        if not self.sizes(project_id, [stored.digest]):
            row = {"project_id": project_id, "digest": stored.digest, "size_bytes": stored.size_bytes, "at": at}
            self._session.change(_ADD, row)

    def sizes(self, project_id: ProjectId, digests: Sequence[Digest]) -> Mapping[Digest, int]:
        """Return the sizes of those digests that the project holds."""
        found: dict[Digest, int] = {}
        for start in range(0, len(digests), BATCH):
            values = {"project": project_id, "digests": list(digests[start : start + BATCH])}
            found.update({row.digest: row.size_bytes for row in self._session.search(_SIZES, values)})
        return found
