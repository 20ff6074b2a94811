# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Projects and their members."""

from __future__ import annotations

from argparse import Namespace

import msgspec

from animus import session as sessions
from animus.errors import RefusedError
from animus.verbs import Desk, Done
from animus_contracts.projects import Project, Role, RoleBinding, SubjectType


def create(desk: Desk, given: Namespace) -> Project:
    """Create a project."""
    return desk.client().projects.create(given.name, description=given.description)


def show_all(desk: Desk, _given: Namespace) -> list[Project]:
    """List the projects one may see."""
    return list(desk.client().projects.list())


def use(desk: Desk, given: Namespace) -> Done:
    """Choose the default project of later commands."""
    project = desk.client().in_project(given.name).projects.read()
    saved = sessions.load(desk.environment)
    sessions.save(desk.environment, msgspec.structs.replace(saved, project=project.name))
    return Done(message=f"project {project.name}")


def add_member(desk: Desk, given: Namespace) -> RoleBinding:
    """Give someone a role."""
    return desk.client().members.add(given.subject, Role(given.role), subject_type=SubjectType(given.type))


def remove_member(desk: Desk, given: Namespace) -> Done:
    """Take someone's role away."""
    members = desk.client().members
    for binding in members.list():
        if (binding.subject_type, binding.subject) == (given.type, given.subject):
            members.remove(binding)
            return Done(message=f"{given.type} {given.subject} is no longer {binding.role}")
    message = f"{given.type} {given.subject!r} has no role in {members.project}"
    raise RefusedError("not_found", message, remedy="animus member list")


def show_members(desk: Desk, _given: Namespace) -> list[RoleBinding]:
    """List who has which role."""
    return list(desk.client().members.list())
