# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A token of ours that is presented where, or when, it has no force leaves a trace; the token itself never does."""

from __future__ import annotations

from datetime import datetime

import msgspec

from animus_contracts.audit import Action, AuditRecord, Outcome
from animus_contracts.identifiers import ExecutionId, ProjectId, RunId
from animus_control.services.ports import UnitOfWork


class TokenOf(msgspec.Struct, frozen=True, kw_only=True):
    """Whose token it was."""

    project_id: ProjectId
    run_id: RunId
    execution_id: ExecutionId


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A token that was refused.

    Attributes:
        reason: Why.
        request_id: Correlates answer, audit and logs.
        token_of: Whose it was; None for one that nobody knows.
    """

    reason: str
    request_id: str
    token_of: TokenOf | None = None


def record_rejection(uow: UnitOfWork, rejection: Rejection, *, now: datetime) -> None:
    """Write a rejected token into the audit log."""
    known = rejection.token_of
    uow.audit.append(
        AuditRecord(
            occurred_at=now,
            project_id=known.project_id if known else None,
            actor=f"run:{known.run_id}" if known else "anonymous",
            action=Action.TOKEN_REJECTED,
            resource=f"execution:{known.execution_id}" if known else "execution:unknown",
            outcome=Outcome.DENIED,
            request_id=rejection.request_id,
            details={"reason": rejection.reason},
        )
    )
