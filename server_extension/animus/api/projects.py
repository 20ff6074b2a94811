# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Projects and who belongs to them."""

from __future__ import annotations

from collections.abc import Iterator

from animus.api import Group, pages
from animus_contracts.pages import ListQuery, NamedListQuery
from animus_contracts.projects import CreateProject, Project, PutRoleBinding, Role, RoleBinding, SubjectType


class Projects(Group):
    """Projects the caller may see."""

    def create(self, name: str, *, description: str = "", labels: dict[str, str] | None = None) -> Project:
        """Create a project; the creator becomes its administrator."""
        body = CreateProject(name=name, description=description, labels=labels or {})
        project: Project = self._transport.call("projects.create", body=body)
        return project

    def list(self) -> Iterator[Project]:
        """Yield the projects the caller may see."""
        yield from pages(self._transport, "projects.list", NamedListQuery())

    def read(self) -> Project:
        """Return the project."""
        project: Project = self._call("projects.read")
        return project

    def archive(self) -> Project:
        """Make the project read-only."""
        project: Project = self._call("projects.archive")
        return project

    def unarchive(self) -> Project:
        """Make the project writable again."""
        project: Project = self._call("projects.unarchive")
        return project


class Members(Group):
    """Who has which role in the project."""

    def add(self, subject: str, role: Role, *, subject_type: SubjectType = SubjectType.USER) -> RoleBinding:
        """Give a subject a role, replacing the one it had."""
        body = PutRoleBinding(subject_type=subject_type, subject=subject, role=role)
        binding: RoleBinding = self._call("role_bindings.put", body)
        return binding

    def list(self) -> Iterator[RoleBinding]:
        """Yield the project's role bindings."""
        yield from self._pages("role_bindings.list", ListQuery())

    def remove(self, binding: RoleBinding) -> None:
        """Take a role away, at once."""
        self._call("role_bindings.delete", binding=binding.binding_id)
