# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the control plane does later in somebody's name is done with that person's rights at that time.

Only bindings that name the person count: which groups they belong to is known only while they are signed in.
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


def on_behalf(uow: UnitOfWork, call: Call, project: Project, subject: str, permission: Permission) -> Call:
    """Return a call in which a person acts, as if they had made it now.

    Args:
        uow: The unit of work.
        call: The system's call, or another person's.
        project: Where.
        subject: Who, ``user:ann`` or ``service:ci``.
        permission: What they need.

    Raises:
        DeniedError: ``forbidden`` when the person has no such right in the project now.
        ConflictError: ``project_archived``.
    """
    kind, _, name = subject.partition(":")
    principal = Principal(name=name, kind=PrincipalKind(kind))
    bindings = uow.role_bindings.of_subjects(subjects_of(principal), project_id=project.project_id)
    role = best_roles(bindings).get(project.project_id)
    if role is None or not is_allowed(role, permission):
        words = f"{subject} has no role of their own in the project {project.name!r} that includes {permission!s}."
        remedy = "Ask an administrator of the project to give the role to the person rather than to a group."
        raise DeniedError("forbidden", words, remedy=remedy)
    if project.state is ProjectState.ARCHIVED:
        raise ConflictError("project_archived", f"The project {project.name!r} is archived: it can be read only.")
    return replace(call, principal=principal, project=project, role=role)
