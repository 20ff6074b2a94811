# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A subject has at most one role in a project; a binding counts from the commit that stores it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from sqlalchemy import and_, bindparam, delete, false, func, or_, select

from animus_contracts.identifiers import BindingId, ProjectId
from animus_contracts.projects import Role, RoleBinding, SubjectType
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, ReadableTable
from animus_control.storage.session import Session
from animus_control.storage.tables import role_bindings as table

LAYOUT = Layout[RoleBinding](table)
_REPLACE = Prepared(
    delete(table).where(
        table.c.project_id == bindparam("project"),
        table.c.subject_type == bindparam("type"),
        table.c.subject == bindparam("name"),
    )
)
_DELETE = Prepared(
    delete(table).where(table.c.project_id == bindparam("project"), table.c.binding_id == bindparam("id"))
)
_COUNT_ADMINS = Prepared(
    select(func.count()).where(table.c.project_id == bindparam("project"), table.c.role == Role.ADMIN.value)
)


@lru_cache
def _of_subjects(counts: tuple[int, ...], *, in_project: bool) -> Prepared:
    """Prepare the query for so many subjects of each type; callers differ little in how many groups they have."""
    conditions = [
        and_(
            table.c.subject_type == kind.value,
            table.c.subject.in_([bindparam(f"{kind.value}_{number}") for number in range(count)]),
        )
        for kind, count in zip(SubjectType, counts, strict=True)
        if count
    ]
    query = LAYOUT.select().where(or_(false(), *conditions))
    return Prepared(query.where(table.c.project_id == bindparam("project")) if in_project else query)


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
        named = [[subject for of, subject in subjects if of == kind] for kind in SubjectType]
        values: dict[str, object] = {
            f"{kind.value}_{number}": subject
            for kind, of_kind in zip(SubjectType, named, strict=True)
            for number, subject in enumerate(of_kind)
        }
        query = _of_subjects(tuple(map(len, named)), in_project=project_id is not None)
        return [LAYOUT.read(row) for row in self._session.all(query, {**values, "project": project_id})]

    def count_admins(self, project_id: ProjectId) -> int:
        """Return how many bindings make an administrator."""
        row = self._session.first(_COUNT_ADMINS, {"project": project_id})
        return 0 if row is None else int(row[0])
