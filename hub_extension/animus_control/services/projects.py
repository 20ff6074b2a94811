# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A project's creator becomes its administrator in the same unit of work; nothing ever deletes a project."""

from __future__ import annotations

import msgspec

from animus_contracts.audit import Action
from animus_contracts.identifiers import BindingId, ProjectId
from animus_contracts.pages import NamedListQuery, Page
from animus_contracts.projects import (
    CreateProject,
    Project,
    ProjectState,
    Role,
    RoleBinding,
    SubjectType,
    UpdateProject,
)
from animus_control.domain.errors import ConflictError, InvalidError
from animus_control.domain.identity import PrincipalKind
from animus_control.domain.names import label_faults, name_faults, refuse, text_faults
from animus_control.domain.permissions import is_platform_admin
from animus_control.services.access import effective_roles
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError
from animus_control.services.scope import project_of


@operation("projects.create")
def create_project(uow: UnitOfWork, call: Call, message: CreateProject) -> Project:
    """Create a project."""
    limits = call.limits
    refuse(
        [
            *name_faults(message.name, rule="project"),
            *text_faults(message.description, limits),
            *label_faults(message.labels, limits),
        ]
    )
    project = Project(
        project_id=ProjectId(call.new_id()),
        name=message.name,
        description=message.description,
        labels=message.labels,
        state=ProjectState.ACTIVE,
        version=1,
        created_at=call.now,
        created_by=call.principal.subject,
    )
    try:
        uow.projects.add(project)
    except AlreadyExistsError as error:
        raise ConflictError("project_name_exists", f"The name {message.name!r} is taken.") from error
    uow.role_bindings.put(_first_admin(call, project))
    _audit(uow, call, Action.PROJECT_CREATED, project, name=project.name)
    return project


@operation("projects.list")
def list_projects(uow: UnitOfWork, call: Call, message: NamedListQuery) -> Page[Project]:
    """List the projects in which the caller has a role; a platform administrator sees all."""
    only = None if is_platform_admin(call.principal) else list(effective_roles(uow, call.principal))
    if only == []:
        return Page(items=[])
    return paged(uow.projects.page, message, name=message.name, only=only)


@operation("projects.read")
def read_project(uow: UnitOfWork, call: Call, message: None) -> Project:  # noqa: ARG001 - every operation has the same form
    """Return the project."""
    return project_of(call)


@operation("projects.update")
def update_project(uow: UnitOfWork, call: Call, message: UpdateProject) -> Project:
    """Change description or labels, if nobody else changed them since they were read."""
    before = project_of(call)
    if call.if_match is None:
        raise InvalidError("precondition_required", remedy='Send If-Match: "<version>" with the version you read.')
    if call.if_match != before.version:
        detail = f"The project is at version {before.version}, not {call.if_match}."
        raise ConflictError("precondition_failed", detail, remedy="Read it again and repeat the change.")
    changes = {key: value for key, value in msgspec.structs.asdict(message).items() if value is not None}
    faults = text_faults(message.description or "", call.limits)
    refuse([*faults, *label_faults(message.labels or {}, call.limits)])
    return _change(uow, call, Action.PROJECT_UPDATED, **changes)


@operation("projects.archive")
def archive_project(uow: UnitOfWork, call: Call, message: None) -> Project:  # noqa: ARG001 - as above
    """Make a project read-only. Runs admitted before still finish."""
    return _change(uow, call, Action.PROJECT_ARCHIVED, state=ProjectState.ARCHIVED)


@operation("projects.unarchive")
def unarchive_project(uow: UnitOfWork, call: Call, message: None) -> Project:  # noqa: ARG001 - as above
    """Make a project writable again; one that is writable stays as it is."""
    if project_of(call).state is ProjectState.ACTIVE:
        return project_of(call)
    return _change(uow, call, Action.PROJECT_UNARCHIVED, state=ProjectState.ACTIVE)


def _change(uow: UnitOfWork, call: Call, action: Action, **changes: object) -> Project:
    before = project_of(call)
    after = msgspec.structs.replace(before, version=before.version + 1, **changes)
    if not uow.projects.compare_and_set(after, expected_version=before.version):
        raise ConflictError("precondition_failed", "The project changed at this very moment; read it again.")
    _audit(uow, call, action, after, changed=sorted(changes), version=after.version)
    return after


def _audit(uow: UnitOfWork, call: Call, action: Action, project: Project, **details: object) -> None:
    resource = f"project:{project.project_id}"
    uow.audit.append(audited(call, action, resource, project_id=project.project_id, details=details))


def _first_admin(call: Call, project: Project) -> RoleBinding:
    is_service = call.principal.kind is PrincipalKind.SERVICE
    return RoleBinding(
        binding_id=BindingId(call.new_id()),
        project_id=project.project_id,
        subject_type=SubjectType.SERVICE if is_service else SubjectType.USER,
        subject=call.principal.name,
        role=Role.ADMIN,
        created_at=call.now,
        created_by=call.principal.subject,
    )
