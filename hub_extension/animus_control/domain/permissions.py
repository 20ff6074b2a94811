# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a role may do is one table; a right is the lesser of the role a member has and the ceiling of the token in use.

Nothing is permission by being empty: no binding, no ceiling and an unknown project each mean no right at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from animus_contracts.identifiers import ProjectId
from animus_contracts.permissions import Permission
from animus_contracts.projects import Role, RoleBinding, SubjectType
from animus_control.domain.identity import EVERY_PROJECT, Principal, PrincipalKind

RANK: Mapping[Role, int] = {Role.VIEWER: 1, Role.EDITOR: 2, Role.ADMIN: 3}

REQUIRED_ROLE: Mapping[Permission, Role] = {
    Permission.ARTIFACT_READ: Role.VIEWER,
    Permission.AUDIT_READ: Role.ADMIN,
    Permission.DATASET_READ: Role.VIEWER,
    Permission.DATASET_WRITE: Role.EDITOR,
    Permission.ENVIRONMENT_READ: Role.VIEWER,
    Permission.ENVIRONMENT_WRITE: Role.EDITOR,
    Permission.MEMBER_READ: Role.VIEWER,
    Permission.MEMBER_WRITE: Role.ADMIN,
    Permission.POLICY_READ: Role.VIEWER,
    Permission.POLICY_WRITE: Role.ADMIN,
    Permission.PROJECT_ADMINISTER: Role.ADMIN,
    Permission.PROJECT_READ: Role.VIEWER,
    Permission.RUN_APPROVE: Role.ADMIN,
    Permission.RUN_CANCEL: Role.EDITOR,
    Permission.RUN_READ: Role.VIEWER,
    Permission.RUN_SUBMIT: Role.EDITOR,
}
"""The least role that has a permission."""


def is_allowed(role: Role, permission: Permission) -> bool:
    """Say whether a role has a permission; a permission missing from the table is had by nobody."""
    required = REQUIRED_ROLE.get(permission)
    return required is not None and RANK[role] >= RANK[required]


def is_platform_admin(principal: Principal) -> bool:
    """Say whether a principal administers the platform with the token in use."""
    return principal.platform_admin and principal.ceiling.get(EVERY_PROJECT) is Role.ADMIN


def subjects_of(principal: Principal) -> list[tuple[str, str]]:
    """Return the (type, subject) pairs under which role bindings may name a principal."""
    if principal.kind is PrincipalKind.SERVICE:
        return [(SubjectType.SERVICE, principal.name)]
    if principal.kind is not PrincipalKind.USER:
        return []
    return [(SubjectType.USER, principal.name), *((SubjectType.GROUP, group) for group in sorted(principal.groups))]


def best_roles(bindings: Iterable[RoleBinding]) -> dict[ProjectId, Role]:
    """Return the best role in each project that any of the bindings gives."""
    best: dict[ProjectId, Role] = {}
    for binding in bindings:
        known = best.get(binding.project_id)
        if known is None or RANK[binding.role] > RANK[known]:
            best[binding.project_id] = binding.role
    return best


def capped(role: Role | None, principal: Principal, project_name: str) -> Role | None:
    """Return the effective role: the lesser of the role and the token's ceiling for the project, or None.

    A platform administrator counts as administrator of every project.
    """
    if is_platform_admin(principal):
        return Role.ADMIN
    named = (principal.ceiling.get(key) for key in (EVERY_PROJECT, project_name))
    ceiling = max((cap for cap in named if cap is not None), key=RANK.__getitem__, default=None)
    if role is None or ceiling is None:
        return None
    return min(role, ceiling, key=RANK.__getitem__)
