# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Projects are found by id or name; the name and who created it never change."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, or_, update

from animus_contracts.identifiers import ProjectId
from animus_contracts.pages import Page
from animus_contracts.projects import Project
from animus_control.storage.cursors import decode_text, page_of
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout
from animus_control.storage.session import Session
from animus_control.storage.tables import projects

LAYOUT = Layout[Project](projects, changing=("description", "labels", "state", "version"))
_GET = Prepared(
    LAYOUT.select().where(or_(projects.c.project_id == bindparam("ref"), projects.c.name == bindparam("ref")))
)
_NAMED = LAYOUT.select().where(projects.c.project_id.in_(bindparam("ids", expanding=True))).order_by(projects.c.name)
_UPDATE = Prepared(
    update(projects)
    .where(projects.c.project_id == bindparam("id"), projects.c.version == bindparam("expected_version"))
    .values({name: bindparam(f"new_{name}") for name in LAYOUT.changing})
)


class ProjectTable:
    """All projects."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, project: Project) -> None:
        """Store a new project."""
        self._session.change(LAYOUT.insert, LAYOUT.row(project))

    def get(self, project_ref: str) -> Project | None:
        """Return the project of this id or name; an id is no name, since names have at most 30 characters."""
        row = self._session.first(_GET, {"ref": project_ref})
        return None if row is None else LAYOUT.read(row)

    def named(self, project_ids: Sequence[ProjectId]) -> list[Project]:
        """Return the projects of these ids, ordered by name."""
        return [LAYOUT.read(row) for row in self._session.search(_NAMED, {"ids": list(project_ids)})]

    def page(
        self, *, limit: int, cursor: str | None, name: str | None, only: Sequence[ProjectId] | None
    ) -> Page[Project]:
        """Return a page ordered by name; ``only`` restricts it to these ids."""
        statement = LAYOUT.select().order_by(projects.c.name).limit(limit + 1)
        if name is not None:
            statement = statement.where(projects.c.name == name)
        if only is not None:
            statement = statement.where(projects.c.project_id.in_(only))
        if cursor is not None:
            statement = statement.where(projects.c.name > decode_text(cursor))
        found = [LAYOUT.read(row) for row in self._session.search(statement)]
        return page_of(found, [project.name for project in found], limit)

    def compare_and_set(self, project: Project, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one."""
        values = {"id": project.project_id, "expected_version": expected_version}
        return self._session.change(_UPDATE, LAYOUT.changes(project) | values) == 1
