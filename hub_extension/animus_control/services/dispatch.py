# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The run that goes next is leased to whoever asks first; the lease carries the plan, an epoch and one token.

Quotas are asked here and not at submission: a run over its project's quota waits, it is not refused.
"""

from __future__ import annotations

from animus_contracts.audit import Action
from animus_contracts.executions import Execution, ExecutionState, Lease, LeaseReply, LeaseRequest
from animus_contracts.identifiers import ExecutionId
from animus_contracts.runs import Run
from animus_control.domain.queue import choose, demand_of
from animus_control.domain.runs import Move, advance
from animus_control.services.calls import Call
from animus_control.services.executors import note_lease, note_request
from animus_control.services.moves import store_move
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import require
from animus_control.services.tokens import DISPATCH, issue


@operation("executions.lease")
def lease_run(uow: UnitOfWork, call: Call, message: LeaseRequest) -> LeaseReply:
    """Lease the next run that fits the executor, if there is one.

    An executor that cannot protect a run completely is given no production run.
    """
    executor = note_request(uow, call, message)
    head = choose(
        uow.queue.heads(message.platform),
        message.platform,
        message,
        uow.quotas.standings(message.platform, call.now),
    )
    if head is None:
        return LeaseReply(lease=None)
    note_lease(uow, executor, demand_of(head.shape))
    return LeaseReply(lease=_lease(uow, call, require(uow.runs.get(head.project_id, head.run_id), "run")))


def _lease(uow: UnitOfWork, call: Call, queued: Run) -> Lease:
    run = advance(queued, Move.LEASE, call.now, attempt=queued.attempt + 1, epoch=queued.epoch + 1)
    execution = Execution(
        execution_id=ExecutionId(call.new_id()),
        run_id=run.run_id,
        project_id=run.project_id,
        attempt=run.attempt,
        epoch=run.epoch,
        executor=call.principal.name,
        state=ExecutionState.LEASED,
        leased_at=call.now,
        lease_expires_at=call.now + call.limits.lease,
    )
    uow.executions.add(execution)
    token = issue(uow, call, execution, kind=DISPATCH, life=call.limits.lease)
    store_move(uow, call, queued, run, Action.EXECUTION_LEASED, {"execution_id": execution.execution_id})
    return Lease(
        execution_id=execution.execution_id,
        run_id=run.run_id,
        project_id=run.project_id,
        attempt=run.attempt,
        epoch=run.epoch,
        lease_seconds=call.limits.lease.total_seconds(),
        heartbeat_seconds=call.limits.heartbeat.total_seconds(),
        dispatch_token=token,
        plan_digest=run.plan_digest,
        plan=uow.runs.plan(run.project_id, run.run_id),
    )
