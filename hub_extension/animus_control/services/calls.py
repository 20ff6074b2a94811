# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One call of one operation: who, when, where; and how the audit log tells of it.

Time, identifiers and secrets reach the use cases through the call, so that a use case has one "now".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from animus_contracts.audit import Action, AuditRecord, Outcome
from animus_contracts.identifiers import ProjectId
from animus_contracts.projects import Project, Role
from animus_control.domain.identity import Principal
from animus_control.domain.limits import DEFAULT_LIMITS, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of one operation: who, when, where.

    Attributes:
        principal: The authenticated caller.
        now: The one instant at which the operation happens, UTC, microseconds.
        request_id: Correlates answer, audit and logs.
        new_id: Makes identifiers for this operation.
        new_secret: Makes an unguessable URL-safe token of at least 256 bits.
        path: Path parameters by name.
        if_match: Version given in If-Match, or None.
        limits: The bounds this installation sets.
        project: The project the call is scoped to, set after authorisation.
        role: The caller's effective role in it, set after authorisation.
    """

    principal: Principal
    now: datetime
    request_id: str
    new_id: Callable[[], str]
    new_secret: Callable[[], str]
    path: Mapping[str, str] = field(default_factory=dict)
    if_match: int | None = None
    limits: Limits = DEFAULT_LIMITS
    project: Project | None = None
    role: Role | None = None


def audited(
    call: Call,
    action: Action,
    resource: str,
    *,
    project_id: ProjectId | None = None,
    details: Mapping[str, Any] | None = None,
    denied: bool = False,
) -> AuditRecord:
    """Build the audit record of a call; the project is the call's unless another is given."""
    scope = project_id if project_id is not None else call.project.project_id if call.project else None
    return AuditRecord(
        occurred_at=call.now,
        project_id=scope,
        actor=call.principal.subject,
        action=action,
        resource=resource,
        outcome=Outcome.DENIED if denied else Outcome.SUCCESS,
        request_id=call.request_id,
        details=dict(details or {}),
    )
