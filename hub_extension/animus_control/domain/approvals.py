# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An approval is one more fact for the policies: whether it would help is found by asking them, not by annotations.

Who may approve is no policy's business (the role decides, and never the requester), but a policy may name whom it
wants. So every known approver is tried, and one nobody knows, for policies that accept anyone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import msgspec

from animus_contracts.approvals import Approval, ApprovalState
from animus_contracts.digests import canonical
from animus_contracts.policies import Effect, PolicyText
from animus_control.domain.errors import ConflictError
from animus_control.domain.policies import Judgement, Request, judge

APPROVAL = "approval"
ANYONE = "user:*"
"""Stands for an approver nobody has thought of."""

MOST_APPROVERS = 20


def with_approval(context: Mapping[str, Any], approver: str) -> dict[str, Any]:
    """Return the facts of a submission together with another person's approval."""
    return {**context, APPROVAL: {"by": approver}}


def candidates(approvers: Iterable[str], requester: str) -> list[str]:
    """Return whose approvals the policies are asked about; never the requester's own."""
    return [ANYONE, *sorted(set(approvers) - {requester, ANYONE})[:MOST_APPROVERS]]


def weigh(
    policies: Sequence[PolicyText], request: Request, context: Mapping[str, Any], approvers: Iterable[str]
) -> Judgement:
    """Ask the policies, and when they refuse, ask whether an approval would change that.

    Args:
        policies: The policies.
        request: The question.
        context: Its facts, without an approval.
        approvers: Who might approve; looked at only when the policies refuse.

    Returns:
        What the policies say; with the effect ``require_approval`` when one of the approvals would turn a refusal.
    """
    judgement = judge(policies, request)
    if judgement.effect is not Effect.DENY:
        return judgement
    for approver in approvers:
        facts = canonical(with_approval(context, approver)).decode()
        if judge(policies, replace(request, context=facts)).effect is Effect.ALLOW:
            missing = sorted({*judgement.missing, APPROVAL})
            return replace(judgement, effect=Effect.REQUIRE_APPROVAL, missing=missing)
    return judgement


def require_pending(approval: Approval, now: datetime) -> None:
    """Raise when an approval cannot be decided any more.

    Raises:
        ConflictError: ``approval_not_pending`` with what became of it.
    """
    if approval.state is not ApprovalState.PENDING:
        raise ConflictError("approval_not_pending", f"The approval is {approval.state} already.")
    if now >= approval.expires_at:
        when = f"{approval.expires_at:%Y-%m-%d %H:%M} UTC"
        raise ConflictError("approval_not_pending", f"The approval expired at {when}.", remedy="Submit the run again.")


def closed(approval: Approval, state: ApprovalState, *, by: str, at: datetime, **more: Any) -> Approval:
    """Return a pending approval as it was decided, withdrawn or expired."""
    return msgspec.structs.replace(
        approval, state=state, version=approval.version + 1, decided_by=by, decided_at=at, **more
    )
