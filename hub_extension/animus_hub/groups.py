# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Roles as the Hub sees them: groups that mirror the control plane, and scopes that bound a token.

The control plane's role bindings are the only truth. A group ``animus:<project>:<role>`` only mirrors one of them, and
a scope only says how much of a user's rights a token may use: neither gives a right by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from animus_contracts.identifiers import PROJECT_NAME
from animus_contracts.projects import Membership, Role

PREFIX = "animus"
SCOPE = "custom:animus:project"

# In ascending order: each role includes the ones before it.
ROLES = (Role.VIEWER, Role.EDITOR, Role.ADMIN)

_MIRROR = re.compile(rf"{PREFIX}:(?P<project>[^:]+):(?:{'|'.join(ROLES)})")

CUSTOM_SCOPES = {
    f"{SCOPE}:{role}": {
        "description": f"Act in Animus projects, at most as {role}",
        **({"subscopes": [f"{SCOPE}:{below}" for below in ROLES[: ROLES.index(role)]]} if role != ROLES[0] else {}),
    }
    for role in ROLES
}
"""Definition of the scopes for JupyterHub; the wider ones include the narrower."""


def group_name(project: str, role: Role) -> str:
    """Build the name of the Hub group that mirrors a role in a project."""
    return f"{PREFIX}:{project}:{role}"


def group_names(memberships: Iterable[Membership]) -> list[str]:
    """Build the sorted names of the groups that mirror these memberships."""
    return sorted(group_name(membership.project, membership.role) for membership in memberships)


def role_in(project: str, groups: Iterable[str]) -> Role | None:
    """Return the greatest role in a project that the groups tell of, or None."""
    names = set(groups)
    return next((role for role in reversed(ROLES) if group_name(project, role) in names), None)


def roles_by_project(groups: Iterable[str]) -> dict[str, Role]:
    """Return the greatest role by project, sorted by project name; groups of other kinds are passed over."""
    names = list(groups)
    matches = filter(None, map(_MIRROR.fullmatch, names))
    projects = sorted({match["project"] for match in matches if PROJECT_NAME.fullmatch(match["project"])})
    found = {project: role_in(project, names) for project in projects}
    return {project: role for project, role in found.items() if role is not None}


def workspace_scope(project: str, role: Role) -> str:
    """Build the scope of a workspace's token: this project only, at most editor, never more than the user's role."""
    ceiling = min(role, Role.EDITOR, key=ROLES.index)
    return f"{SCOPE}:{ceiling}!group={group_name(project, role)}"
