# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run is read by members and stopped on request; its story is what was recorded, nothing is derived or guessed."""

from __future__ import annotations

import msgspec

from animus_contracts.audit import Action, AuditEvent
from animus_contracts.executions import ExecutionState
from animus_contracts.explanations import Explanation
from animus_contracts.pages import MAX_LIMIT, Page, RunListQuery
from animus_contracts.runs import TERMINAL_STATES, CancelRun, Run, RunState
from animus_control.domain.lineage import node
from animus_control.domain.runs import Move, advance
from animus_control.services import comparisons
from animus_control.services.approvals import withdraw
from animus_control.services.calls import Call, audited
from animus_control.services.executors import channel_of
from animus_control.services.listing import paged
from animus_control.services.moves import store_move
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.repeats import repetitions_of, withdraw_retry
from animus_control.services.scope import by_id, project_of, require
from animus_control.services.waiting import waiting_of

MAX_REASON = 500
LIVE = frozenset({ExecutionState.LEASED, ExecutionState.RUNNING})
UNSTARTED = frozenset({RunState.AWAITING_APPROVAL, RunState.QUEUED})


@operation("runs.list")
def list_runs(uow: UnitOfWork, call: Call, message: RunListQuery) -> Page[Run]:
    """List runs."""
    filters = {"state": message.state, "created_by": message.created_by}
    return paged(uow.runs.page, message, project_of(call).project_id, **filters)


@operation("runs.read")
def read_run(uow: UnitOfWork, call: Call, message: object) -> Run:  # noqa: ARG001 - every operation has a message
    """Return a run."""
    return by_id(call, uow.runs, "run", "run")


@operation("runs.cancel")
def cancel_run(uow: UnitOfWork, call: Call, message: CancelRun) -> Run:
    """Stop a run: at once when nobody executes it, else by asking its executor; of an ended one only a held retry."""
    run = read_run(uow, call, None)
    if run.state in TERMINAL_STATES:
        withdraw_retry(uow, call, run, message.reason[:MAX_REASON])
        return run
    live = [item for item in uow.executions.of_run(run.run_id) if item.state in LIVE]
    details = {"reason": message.reason[:MAX_REASON]}
    if not live:
        withdraw(uow, call, run, details["reason"])
        return store_move(uow, call, run, advance(run, Move.CANCEL, call.now), Action.RUN_STATE_CHANGED, details)
    for execution in live:
        if execution.cancel_requested:
            continue
        uow.executions.save(msgspec.structs.replace(execution, cancel_requested=True), expected_epoch=execution.epoch)
        uow.audit.append(audited(call, Action.RUN_CANCEL_REQUESTED, f"run:{run.run_id}", details=details))
        uow.notify(channel_of(execution.executor))
    return run


@operation("runs.explain")
def explain_run(uow: UnitOfWork, call: Call, message: None) -> Explanation:  # noqa: ARG001 - as above
    """Tell the complete story of a run."""
    run = read_run(uow, call, None)
    project_id, run_id = run.project_id, run.run_id
    return Explanation(
        run=run,
        decision=require(uow.policy_decisions.get(project_id, run.policy_decision_id), "policy decision"),
        snapshot=require(uow.policy_snapshots.get(project_id, run.policy_snapshot_id), "policy snapshot"),
        lock=require(uow.environment_locks.get(project_id, run.environment_lock_id), "environment lock"),
        approval=uow.approvals.find(project_id, run_id=run_id),
        executions=uow.executions.of_run(run_id),
        provenance=comparisons.provenance_of(uow, run_id),
        artifacts=uow.artifacts.page(project_id, limit=MAX_LIMIT, cursor=None, run_id=run_id).items,
        metrics=uow.metrics.page(project_id, run_id, limit=MAX_LIMIT, cursor=None).items,
        lineage=uow.lineage.touching(project_id, [node("run", run_id)], limit=call.limits.lineage_edges),
        audit=_events_of(uow, run),
        repetitions=repetitions_of(uow, run, limit=MAX_LIMIT),
        comparisons=comparisons.of_run(uow, project_id, run_id),
        waiting=waiting_of(uow, call, run) if run.state in UNSTARTED else None,
    )


def _events_of(uow: UnitOfWork, run: Run) -> list[AuditEvent]:
    return uow.audit.page(run.project_id, limit=MAX_LIMIT, cursor=None, resource=node("run", run.run_id)).items
