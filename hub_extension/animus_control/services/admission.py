# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is found missing after admission is judged by the policies the run was admitted under, never by newer ones."""

from __future__ import annotations

from collections.abc import Sequence

from animus_contracts.policies import Effect, PolicyDecision
from animus_contracts.runs import Failure, FailureReason, Limitation, Run
from animus_control.domain.policies import START
from animus_control.services.calls import Call
from animus_control.services.policies import decide
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import require


def objection(uow: UnitOfWork, call: Call, run: Run, limitations: Sequence[Limitation]) -> PolicyDecision | None:
    """Return the decision that refuses a run with these limitations, or None when it may go on.

    Nothing is asked when no limitation is new: what admitted the run has seen them all.
    """
    if not set(limitations) - set(run.limitations):
        return None
    admitted = admitting_decision(uow, run)
    snapshot = require(uow.policy_snapshots.get(run.project_id, run.policy_snapshot_id), "policy snapshot")
    project = require(uow.projects.get(run.project_id), "project")
    context = {**admitted.context, "limitations": [limitation.value for limitation in limitations]}
    decision = decide(
        call, snapshot, subject=admitted.subject, action=START, project_name=project.name, context=context
    )
    return decision if decision.effect is Effect.DENY else None


def admitting_decision(uow: UnitOfWork, run: Run) -> PolicyDecision:
    """Return the decision that let a run go on: of one that was approved, the one made of the approval."""
    approval = uow.approvals.find(run.project_id, run_id=run.run_id)
    final = approval.final_decision_id if approval else None
    return require(uow.policy_decisions.get(run.project_id, final or run.policy_decision_id), "policy decision")


def policy_failure(decision: PolicyDecision) -> Failure:
    """Return the failure of a run that a policy stopped after its admission."""
    return Failure(
        reason=FailureReason.POLICY,
        summary=f"A policy refuses to run it here: {decision.reason}",
        detail=f"Decided by: {', '.join(decision.deciding) or 'no policy permits it'}",
        remedy="Run it where nothing is missing, or submit it as a development run.",
    )
