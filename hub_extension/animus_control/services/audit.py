# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The log is read as it was hashed; a project's administrators see its events, the platform's see the whole chain."""

from __future__ import annotations

from animus_contracts.audit import AuditEvent
from animus_contracts.pages import AuditListQuery, ListQuery, Page
from animus_control.services.calls import Call
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of


@operation("audit_events.list")
def list_events(uow: UnitOfWork, call: Call, message: AuditListQuery) -> Page[AuditEvent]:
    """List a project's audit events."""
    filters = {"actor": message.actor, "action": message.action, "resource": message.resource}
    return paged(uow.audit.page, message, project_of(call).project_id, **filters)


@operation("audit_chain.read")
def read_chain(uow: UnitOfWork, call: Call, message: ListQuery) -> Page[AuditEvent]:  # noqa: ARG001 - every operation has one
    """Read the whole log, oldest first."""
    return paged(uow.audit.page, message, None)
