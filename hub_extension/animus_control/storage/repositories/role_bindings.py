# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A subject has at most one role in a project; a binding counts from the commit that stores it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import and_, bindparam, delete, func, or_, select

from animus_contracts.identifiers import BindingId, ProjectId
from animus_contracts.projects import Role, RoleBinding, SubjectType
from animus_control.storage.repositories.records import Layout, ReadableTable
from animus_control.storage.session import Session
from animus_control.storage.tables import role_bindings as table

LAYOUT = Layout[RoleBinding](table)
_REPLACE = delete(table).where(
    table.c.project_id == bindparam("project"),
    table.c.subject_type == bindparam("type"),
    table.c.subject == bindparam("name"),
)
_DELETE = delete(table).where(table.c.project_id == bindparam("project"), table.c.binding_id == bindparam("id"))
_OF_SUBJECTS = LAYOUT.select().where(
    or_(
        *[
            and_(table.c.subject_type == kind.value, table.c.subject.in_(bindparam(kind.value, expanding=True)))
            for kind in SubjectType
        ]
    )
)
_OF_SUBJECTS_IN_PROJECT = _OF_SUBJECTS.where(table.c.project_id == bindparam("project"))
_COUNT_ADMINS = select(func.count()).where(table.c.project_id == bindparam("project"), table.c.role == Role.ADMIN.value)


class RoleBindingTable(ReadableTable[RoleBinding]):
    """Who has which role."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, LAYOUT)

    def put(self, binding: RoleBinding) -> None:
        """Store the binding, replacing the one of the same project, subject type and subject."""
        key = {"project": binding.project_id, "type": binding.subject_type, "name": binding.subject}
        self._session.change(_REPLACE, key)
        self._session.change(LAYOUT.insert, LAYOUT.row(binding))

    def delete(self, project_id: ProjectId, binding_id: BindingId) -> None:
        """Take the binding away."""
        self._session.change(_DELETE, {"project": project_id, "id": binding_id})

    def of_subjects(
        self, subjects: Sequence[tuple[str, str]], *, project_id: ProjectId | None = None
    ) -> list[RoleBinding]:
        """Return all bindings of these (type, subject) pairs."""
        values: dict[str, object] = {
            kind.value: [subject for of, subject in subjects if of == kind] for kind in SubjectType
        }
        if project_id is None:
            return [LAYOUT.read(row) for row in self._session.all(_OF_SUBJECTS, values)]
        rows = self._session.all(_OF_SUBJECTS_IN_PROJECT, {**values, "project": project_id})
        return [LAYOUT.read(row) for row in rows]

    def count_admins(self, project_id: ProjectId) -> int:
        """Return how many bindings make an administrator."""
        row = self._session.first(_COUNT_ADMINS, {"project": project_id})
        return 0 if row is None else int(row[0])
