# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Projects are the unit of access: every other record belongs to exactly one."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.identifiers import BindingId, ProjectId


class Role(StrEnum):
    """What a member may do. Each role includes the ones before it."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"


class ProjectState(StrEnum):
    """An archived project is read-only."""

    ACTIVE = "active"
    ARCHIVED = "archived"


class SubjectType(StrEnum):
    """What kind of identity a role binding names."""

    USER = "user"
    GROUP = "group"
    SERVICE = "service"


class Project(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A project. ``version`` counts its changes and is its ETag."""

    project_id: ProjectId
    name: str
    description: str
    labels: dict[str, str]
    state: ProjectState
    version: int
    created_at: datetime
    created_by: str


class CreateProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Create a project; the creator becomes its administrator."""

    name: str
    description: str = ""
    labels: dict[str, str] = {}


class UpdateProject(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Replace a project's description or labels; what is absent stays."""

    description: str | None = None
    labels: dict[str, str] | None = None


class RoleBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A subject's role in a project, effective from the moment it is stored."""

    binding_id: BindingId
    project_id: ProjectId
    subject_type: SubjectType
    subject: str
    role: Role
    created_at: datetime
    created_by: str


class PutRoleBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Give a subject a role, replacing the one it had."""

    subject_type: SubjectType
    subject: str
    role: Role


class Membership(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One project a subject may use, and how; the Hub mirrors these into groups."""

    project_id: ProjectId
    project: str
    role: Role


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who the caller is, as the control plane sees it.

    Attributes:
        name: User or service name at the Hub.
        kind: ``user`` or ``service``.
        platform_admin: Whether the Hub calls the identity an administrator.
        groups: Hub groups.
        scopes: Ceiling of the token in use, as ``project-or-*:role``; rights never exceed it.
        memberships: Effective roles, by project.
    """

    name: str
    kind: str
    platform_admin: bool
    groups: list[str]
    scopes: list[str]
    memberships: list[Membership]
