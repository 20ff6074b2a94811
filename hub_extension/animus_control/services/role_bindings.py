# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A role holds from the commit that stores it and is gone from the commit that takes it; one administrator stays."""

from __future__ import annotations

from animus_contracts.audit import Action
from animus_contracts.identifiers import BindingId
from animus_contracts.pages import ListQuery, Page
from animus_contracts.paths import UNPRINTABLE
from animus_contracts.problems import Fault
from animus_contracts.projects import PutRoleBinding, RoleBinding, SubjectType
from animus_control.domain.errors import ConflictError
from animus_control.domain.names import refuse
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of, require

MAX_SUBJECT = 255
MIRRORED = "animus:"


@operation("role_bindings.put")
def put_role_binding(uow: UnitOfWork, call: Call, message: PutRoleBinding) -> RoleBinding:
    """Give a subject a role, replacing the one it had."""
    project = project_of(call)
    refuse(_subject_faults(message))
    binding = RoleBinding(
        binding_id=BindingId(call.new_id()),
        project_id=project.project_id,
        subject_type=message.subject_type,
        subject=message.subject,
        role=message.role,
        created_at=call.now,
        created_by=call.principal.subject,
    )
    uow.role_bindings.put(binding)
    _keep_an_admin(uow, call)
    _audit(uow, call, Action.ROLE_BINDING_STORED, binding)
    return binding


@operation("role_bindings.list")
def list_role_bindings(uow: UnitOfWork, call: Call, message: ListQuery) -> Page[RoleBinding]:
    """List who has which role."""
    return paged(uow.role_bindings.page, message, project_of(call).project_id)


@operation("role_bindings.delete")
def delete_role_binding(uow: UnitOfWork, call: Call, message: None) -> None:  # noqa: ARG001 - every operation has a message
    """Take a role away."""
    project_id = project_of(call).project_id
    binding = require(uow.role_bindings.get(project_id, BindingId(call.path["binding"])), "role binding")
    uow.role_bindings.delete(project_id, binding.binding_id)
    _keep_an_admin(uow, call)
    _audit(uow, call, Action.ROLE_BINDING_DELETED, binding)


def _keep_an_admin(uow: UnitOfWork, call: Call) -> None:
    # Counted after the change, so that raising rolls it back: what counts is what would have been stored.
    if uow.role_bindings.count_admins(project_of(call).project_id) == 0:
        raise ConflictError("last_admin", remedy="Make someone else an administrator first.")


def _subject_faults(message: PutRoleBinding) -> list[Fault]:
    subject = message.subject
    if not 0 < len(subject) <= MAX_SUBJECT or UNPRINTABLE.search(subject) or subject != subject.strip():
        words = f"must be a name of 1 to {MAX_SUBJECT} printable characters"
        return [Fault(path="$.subject", code="invalid_subject", message=words)]
    if message.subject_type is SubjectType.GROUP and subject.startswith(MIRRORED):
        words = f"groups named {MIRRORED}… are mirrored from role bindings and give no rights"
        return [Fault(path="$.subject", code="mirrored_group", message=words)]
    return []


def _audit(uow: UnitOfWork, call: Call, action: Action, binding: RoleBinding) -> None:
    details = {"subject_type": binding.subject_type, "subject": binding.subject, "role": binding.role}
    uow.audit.append(audited(call, action, f"role_binding:{binding.binding_id}", details=details))
