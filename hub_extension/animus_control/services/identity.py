# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who someone is and may do, as the control plane sees it; rights mirrored elsewhere are never read back."""

from __future__ import annotations

from animus_contracts.pages import Page
from animus_contracts.projects import Identity, Membership, SubjectType
from animus_control.domain.permissions import best_roles, is_platform_admin
from animus_control.services.access import effective_roles
from animus_control.services.calls import Call
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork


@operation("identity.read")
def read_identity(uow: UnitOfWork, call: Call, message: None) -> Identity:  # noqa: ARG001 - every operation has a message
    """Return the caller with its effective roles."""
    principal = call.principal
    roles = effective_roles(uow, principal).values()
    memberships = [Membership(project_id=item.project_id, project=item.name, role=role) for item, role in roles]
    return Identity(
        name=principal.name,
        kind=principal.kind.value,
        platform_admin=is_platform_admin(principal),
        groups=sorted(principal.groups),
        scopes=sorted(f"{project}:{role.value}" for project, role in principal.ceiling.items()),
        memberships=sorted(memberships, key=lambda membership: membership.project),
    )


@operation("memberships.list")
def list_memberships(uow: UnitOfWork, call: Call, message: None) -> Page[Membership]:  # noqa: ARG001 - as above
    """Return the roles bound to a user by name."""
    best = best_roles(uow.role_bindings.of_subjects([(SubjectType.USER, call.path["user"])]))
    projects = uow.projects.named(list(best)) if best else []
    items = [Membership(project_id=item.project_id, project=item.name, role=best[item.project_id]) for item in projects]
    return Page(items=sorted(items, key=lambda membership: membership.project))
