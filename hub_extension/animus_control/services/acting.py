# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the control plane does later in somebody's name is done with that person's rights at that time.

Roles of their groups count like their own. As long as nobody can tell which groups these are, nothing is done: a policy
may forbid to a group what it permits to everybody else, so no group at all is no safe guess.
"""

from __future__ import annotations

from dataclasses import replace

from animus_contracts.permissions import Permission
from animus_contracts.projects import Project, ProjectState
from animus_control.domain.errors import ConflictError, DeniedError
from animus_control.domain.identity import Principal, PrincipalKind
from animus_control.domain.permissions import best_roles, is_allowed, subjects_of
from animus_control.services.calls import Call
from animus_control.services.ports import UnitOfWork
from animus_control.services.user_groups import groups_of


def on_behalf(uow: UnitOfWork, call: Call, project: Project, subject: str, permission: Permission) -> Call:
    """Return a call in which a person acts, as if they had made it now.

    Args:
        uow: The unit of work.
        call: The system's call, or another person's.
        project: Where.
        subject: Who, ``user:ann`` or ``service:ci``.
        permission: What they need.

    Raises:
        UnknownGroupsError: ``service_unavailable`` when the Hub has not said lately to which groups they belong.
        DeniedError: ``forbidden`` when the person has no such right in the project now.
        ConflictError: ``project_archived``.
    """
    kind, _, name = subject.partition(":")
    person = Principal(name=name, kind=PrincipalKind(kind))
    person = replace(person, groups=groups_of(uow, call, person))
    bindings = uow.role_bindings.of_subjects(subjects_of(person), project_id=project.project_id)
    role = best_roles(bindings).get(project.project_id)
    if role is None or not is_allowed(role, permission):
        words = f"{subject} has no role in the project {project.name!r} that includes {permission!s}."
        remedy = "Ask an administrator of the project to give the role to the person or to one of their groups."
        raise DeniedError("forbidden", words, remedy=remedy)
    if project.state is ProjectState.ARCHIVED:
        raise ConflictError("project_archived", f"The project {project.name!r} is archived: it can be read only.")
    return replace(call, principal=person, project=project, role=role)
