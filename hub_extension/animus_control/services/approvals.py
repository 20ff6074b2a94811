# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that waits for another person's approval goes on, or ends, by exactly one decision.

Only a person may decide, and never the one who submitted the run. An approval is not an order: the policies that asked
for it are asked again with the approval among their facts, and what they say then counts. When they still refuse (they
want somebody else), the refusal is recorded and the run keeps waiting.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from animus_contracts.approvals import Approval, ApprovalState, ApprovalVerdict, DecideApproval, ProjectApproval
from animus_contracts.audit import Action
from animus_contracts.identifiers import ApprovalId, ProjectId
from animus_contracts.pages import MAX_LIMIT, ApprovalListQuery, InboxQuery, Page
from animus_contracts.permissions import Permission
from animus_contracts.policies import Effect, PolicyDecision
from animus_contracts.problems import Fault
from animus_contracts.projects import Role, SubjectType
from animus_contracts.runs import Failure, FailureReason, Run
from animus_control.domain.approvals import candidates, closed, require_pending, with_approval
from animus_control.domain.errors import ConflictError, DeniedError
from animus_control.domain.identity import PrincipalKind
from animus_control.domain.names import refuse, text_faults
from animus_control.domain.permissions import is_allowed, is_platform_admin
from animus_control.domain.runs import Move, advance
from animus_control.services.access import RefusedError, effective_roles
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.moves import queue_of, store_move
from animus_control.services.operations import operation
from animus_control.services.policies import decide, decision_details
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id, project_of, require

BATCH = 100
EVENT = "approval.changed"
ACTIONS = {
    ApprovalState.PENDING: Action.APPROVAL_REQUESTED,
    ApprovalState.APPROVED: Action.APPROVAL_APPROVED,
    ApprovalState.REFUSED: Action.APPROVAL_REFUSED,
    ApprovalState.EXPIRED: Action.APPROVAL_EXPIRED,
    ApprovalState.WITHDRAWN: Action.APPROVAL_WITHDRAWN,
}


@operation("approvals.list")
def list_approvals(uow: UnitOfWork, call: Call, message: ApprovalListQuery) -> Page[Approval]:
    """List approvals."""
    return paged(uow.approvals.page, message, project_of(call).project_id, state=message.state, run_id=message.run_id)


@operation("approvals.inbox")
def list_inbox(uow: UnitOfWork, call: Call, message: InboxQuery) -> Page[ProjectApproval]:
    """List approvals in all projects in which the caller may decide; a platform administrator may in every one."""
    page = paged(uow.approvals.inbox, message, only=_deciding_in(uow, call), state=message.state)
    names = {
        project.project_id: project.name
        for project in uow.projects.named(sorted({approval.project_id for approval in page.items}))
    }
    items = [ProjectApproval(project=names[approval.project_id], approval=approval) for approval in page.items]
    return Page(items=items, next_cursor=page.next_cursor)


@operation("approvals.read")
def read_approval(uow: UnitOfWork, call: Call, message: object) -> Approval:  # noqa: ARG001 - every operation has a message
    """Return an approval."""
    return by_id(call, uow.approvals, "approval", "approval")


@operation("approvals.decide")
def decide_approval(uow: UnitOfWork, call: Call, message: DecideApproval) -> Approval:
    """Approve a run or refuse it."""
    approval = read_approval(uow, call, None)
    _require_second_person(call, approval)
    require_pending(approval, call.now)
    refuse(_comment_faults(call, message))
    run = require(uow.runs.get(approval.project_id, approval.run_id), "run")
    if message.verdict is ApprovalVerdict.APPROVE:
        return _approve(uow, call, approval, run, message.comment)
    why = f"{call.principal.subject} refused it: {message.comment}"
    return _end(uow, call, approval, run, ApprovalState.REFUSED, comment=message.comment, why=why)


def _deciding_in(uow: UnitOfWork, call: Call) -> list[ProjectId] | None:
    if is_platform_admin(call.principal):
        return None
    roles = effective_roles(uow, call.principal).items()
    return [project_id for project_id, (_, role) in roles if is_allowed(role, Permission.RUN_APPROVE)]


def possible_approvers(uow: UnitOfWork, call: Call) -> Iterator[str]:
    """Yield whose approvals the policies may be asked about; nothing is read before the first one is wanted."""
    yield from candidates(approvers_of(uow, project_of(call).project_id), call.principal.subject)


def approvers_of(uow: UnitOfWork, project_id: ProjectId) -> Iterator[str]:
    """Yield the people who may approve in a project by a role of their own."""
    admins = uow.role_bindings.page(project_id, limit=MAX_LIMIT, cursor=None, role=Role.ADMIN).items
    yield from (f"user:{binding.subject}" for binding in admins if binding.subject_type is SubjectType.USER)


def request_approval(uow: UnitOfWork, call: Call, run: Run, decision: PolicyDecision) -> Approval:
    """Ask for the approval that a stored run waits for."""
    approval = Approval(
        approval_id=ApprovalId(call.new_id()),
        project_id=run.project_id,
        run_id=run.run_id,
        decision_id=decision.decision_id,
        reason=decision.reason,
        requested_by=run.created_by,
        requested_at=call.now,
        expires_at=call.now + call.limits.approval,
    )
    uow.approvals.add(approval)
    _tell(uow, call, approval, {"decision_id": decision.decision_id, "expires_at": approval.expires_at.isoformat()})
    return approval


def withdraw(uow: UnitOfWork, call: Call, run: Run, reason: str) -> None:
    """Close the approval of a run that is being canceled; nothing happens when it waits for none."""
    approval = uow.approvals.find(run.project_id, run_id=run.run_id)
    if approval is not None and approval.state is ApprovalState.PENDING:
        _close(uow, call, approval, ApprovalState.WITHDRAWN, comment=reason)


def expire_approvals(uow: UnitOfWork, call: Call) -> int:
    """End the runs whose approval nobody gave in time; call it now and then with the system's principal.

    Returns:
        How many were ended, at most :data:`BATCH`.
    """
    expired = uow.approvals.expired(call.now, limit=BATCH)
    for approval in expired:
        run = require(uow.runs.get(approval.project_id, approval.run_id), "run")
        why = f"nobody decided it until {approval.expires_at:%Y-%m-%d %H:%M} UTC"
        _end(uow, call, approval, run, ApprovalState.EXPIRED, comment="", why=why)
    return len(expired)


def _approve(uow: UnitOfWork, call: Call, approval: Approval, run: Run, comment: str) -> Approval:
    decision = _judged_again(uow, call, approval, run)
    if decision.effect is not Effect.ALLOW:
        raise _still_refused(call, approval, decision)
    uow.policy_decisions.add(decision)
    final = _close(uow, call, approval, ApprovalState.APPROVED, comment=comment, final_decision_id=decision.decision_id)
    queued = advance(run, Move.QUEUE, call.now)
    store_move(uow, call, run, queued, Action.RUN_STATE_CHANGED, {"approval_id": approval.approval_id})
    uow.notify(queue_of(uow.runs.plan(run.project_id, run.run_id).environment.platform))
    return final


def _judged_again(uow: UnitOfWork, call: Call, approval: Approval, run: Run) -> PolicyDecision:
    wanted = require(uow.policy_decisions.get(run.project_id, approval.decision_id), "policy decision")
    snapshot = require(uow.policy_snapshots.get(run.project_id, run.policy_snapshot_id), "policy snapshot")
    return decide(
        call,
        snapshot,
        subject=wanted.subject,
        action=wanted.action,
        project_name=project_of(call).name,
        context=with_approval(wanted.context, call.principal.subject),
    )


def _still_refused(call: Call, approval: Approval, decision: PolicyDecision) -> RefusedError:
    def record(uow: UnitOfWork) -> None:
        uow.policy_decisions.add(decision)
        details = {"run_id": approval.run_id, **decision_details(decision)}
        resource = f"approval:{approval.approval_id}"
        record = audited(
            call, Action.APPROVAL_DENIED, resource, project_id=approval.project_id, details=details, denied=True
        )
        uow.audit.append(record)

    remedy = "The run still waits; somebody whom the policy accepts may approve it."
    extra = {"decision_id": decision.decision_id, "deciding": decision.deciding}
    detail = f"Your approval is not enough: {decision.reason}"
    return RefusedError("policy_denied", detail, record=record, remedy=remedy, extra=extra)


def _end(  # noqa: PLR0913 - who, what, which way, and the words for it
    uow: UnitOfWork, call: Call, approval: Approval, run: Run, state: ApprovalState, *, comment: str, why: str
) -> Approval:
    final = _close(uow, call, approval, state, comment=comment)
    failure = Failure(
        reason=FailureReason.POLICY,
        summary=f"The run was not approved: {why}",
        detail=approval.reason,
        remedy="Talk to who decides in the project, then submit the run again.",
    )
    after = advance(run, Move.CANCEL, call.now, failure=failure)
    store_move(uow, call, run, after, Action.RUN_STATE_CHANGED, {"approval_id": approval.approval_id})
    return final


def _close(
    uow: UnitOfWork, call: Call, approval: Approval, state: ApprovalState, *, comment: str, **more: Any
) -> Approval:
    after = closed(approval, state, by=call.principal.subject, at=call.now, comment=comment, **more)
    if not uow.approvals.compare_and_set(after, expected_version=approval.version):
        raise ConflictError("approval_not_pending", "The approval was decided at this very moment.")
    _tell(uow, call, after, {"final_decision_id": after.final_decision_id, "comment": comment})
    return after


def _tell(uow: UnitOfWork, call: Call, approval: Approval, details: Mapping[str, Any]) -> None:
    resource, action = f"approval:{approval.approval_id}", ACTIONS[approval.state]
    facts = {"run_id": approval.run_id, "requested_by": approval.requested_by, **details}
    uow.audit.append(audited(call, action, resource, project_id=approval.project_id, details=facts))
    told = {"approval_id": approval.approval_id, "state": approval.state, "reason": approval.reason}
    by = {"by": approval.decided_by, "comment": approval.comment, "expires_at": approval.expires_at.isoformat()}
    uow.events.add(approval.project_id, approval.run_id, EVENT, call.now, told | by)
    message = {"project_id": approval.project_id, "run_id": approval.run_id, **told}
    uow.outbox.add(action, approval.approval_id, message, call.now)


def _require_second_person(call: Call, approval: Approval) -> None:
    if call.principal.kind is not PrincipalKind.USER:
        raise DeniedError("forbidden", "Only a person may approve a run; a service account may not.")
    if call.principal.subject == approval.requested_by:
        remedy = "Ask another administrator of the project."
        raise DeniedError("approval_requires_second_person", "You submitted this run yourself.", remedy=remedy)


def _comment_faults(call: Call, message: DecideApproval) -> list[Fault]:
    if message.verdict is ApprovalVerdict.REFUSE and not message.comment.strip():
        return [Fault(path="$.comment", code="required", message="must say why the run is refused")]
    return text_faults(message.comment, call.limits, path="$.comment")
