# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""No run waits for ever: not for an executor that is gone, not for one that never comes, not past its wall time.

A lost lease returns a run, or after a second period of grace fails it. A run that waited longer than it may fails, and
so does one whose executor lives and does not end it. Grace counts from the moment at which the loss, or the end of the
wall time, was noticed, and only while somebody listened (:mod:`animus_control.domain.silence`), so that no outage of
the control plane or of its database ends a run whose executor still lives.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec

from animus_contracts.audit import Action
from animus_contracts.executions import Execution, ExecutionState
from animus_contracts.runs import Failure, FailureReason, Run, RunState
from animus_control.domain.runs import Move, advance
from animus_control.domain.silence import Handling, handling
from animus_control.services.calls import Call
from animus_control.services.executions import LIVE
from animus_control.services.moves import queue_of, store_move
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import require
from animus_control.services.waiting import waiting_of

BATCH = 100
MOST_OVERDUE = 1000
LOST = Failure(
    reason=FailureReason.INFRASTRUCTURE,
    summary="The executor was lost while the run was running.",
    detail="No heartbeat came during the lease and the period of grace after it.",
    remedy="Submit the run again; if it happens often, look at the executor's machine and its log.",
)
NEVER_STARTED = Failure(
    reason=FailureReason.INFRASTRUCTURE,
    summary="No executor managed to start the run.",
    detail="Every executor that leased it was lost before the start.",
    remedy="Look at the executors' logs, then submit the run again.",
)


def reconcile(uow: UnitOfWork, call: Call, listened: timedelta) -> int:
    """Handle the leases that expired; call it every few seconds with the system's principal.

    Args:
        uow: The unit of work.
        call: The reconciler's call; its ``now`` decides what has expired.
        listened: For how long this control plane has been able to hear executors without a break.

    Returns:
        How many attempts and runs were handled.
    """
    for platform in uow.queue.release(call.now):
        uow.notify(queue_of(platform))
    return _lost_leases(uow, call, listened) + _waited_enough(uow, call) + _ran_enough(uow, call, listened)


def _lost_leases(uow: UnitOfWork, call: Call, listened: timedelta) -> int:
    handled = 0
    for execution in uow.executions.expired(call.now, limit=BATCH):
        run = require(uow.runs.get(execution.project_id, execution.run_id), "run")
        handle = HANDLERS.get(handling(run.state, listened, call.limits.lease))
        if handle is not None:
            handle(uow, call, execution, run)
            handled += 1
    return handled


def _waited_enough(uow: UnitOfWork, call: Call) -> int:
    impatient = uow.queue.impatient(call.now, limit=BATCH)
    for run in impatient:
        failure = Failure(
            reason=FailureReason.TIMEOUT,
            summary=f"It never started: no executor took it within {run.queue_seconds} seconds.",
            detail=waiting_of(uow, call, run).detail,
            remedy="Let it wait longer, or ask for what some executor has.",
        )
        failed = advance(run, Move.FAIL, call.now, failure=failure)
        store_move(uow, call, run, failed, Action.RUN_STATE_CHANGED, {"reason": failure.reason})
    return len(impatient)


def _ran_enough(uow: UnitOfWork, call: Call, listened: timedelta) -> int:
    handled = 0
    for run in uow.queue.overdue(call.now, limit=MOST_OVERDUE):
        for execution in [item for item in uow.executions.of_run(run.run_id) if item.state in LIVE]:
            if execution.stop_by is None:
                noticed = msgspec.structs.replace(execution, stop_by=call.now + call.limits.overtime)
                uow.executions.save(noticed, expected_epoch=execution.epoch)
            elif execution.stop_by <= call.now and listened >= call.limits.overtime:
                _cut_off(uow, call, execution, run)
                handled += 1
    return handled


def _cut_off(uow: UnitOfWork, call: Call, execution: Execution, run: Run) -> None:
    lost = msgspec.structs.replace(execution, state=ExecutionState.LOST, ended_at=call.now)
    uow.executions.save(lost, expected_epoch=execution.epoch)
    uow.tokens.revoke(execution.execution_id)
    failure = Failure(
        reason=FailureReason.TIMEOUT,
        summary=f"It ran longer than the {run.resources.wall_seconds} seconds it asked for, and did not end by itself.",
        detail=f"The executor {execution.executor!r} still held it {call.limits.overtime.seconds} seconds later.",
        remedy="Ask for more wall_seconds; if it happens often, look at the executor's log.",
    )
    move, changes = (Move.CANCEL, {}) if execution.cancel_requested else (Move.FAIL, {"failure": failure})
    store_move(uow, call, run, advance(run, move, call.now, **changes), Action.EXECUTION_LOST, _facts(execution))


def _doubt(uow: UnitOfWork, call: Call, execution: Execution, run: Run) -> None:
    grace = msgspec.structs.replace(execution, lease_expires_at=call.now + call.limits.lease)
    uow.executions.save(grace, expected_epoch=execution.epoch)
    store_move(uow, call, run, advance(run, Move.LOSE, call.now), Action.RUN_STATE_CHANGED, _facts(execution))


def _give_up(uow: UnitOfWork, call: Call, execution: Execution, run: Run) -> None:
    lost = msgspec.structs.replace(execution, state=ExecutionState.LOST, ended_at=call.now)
    uow.executions.save(lost, expected_epoch=execution.epoch)
    uow.tokens.revoke(execution.execution_id)
    after = _after_loss(call, execution, run)
    store_move(uow, call, run, after, Action.EXECUTION_LOST, _facts(execution))
    if after.state is RunState.QUEUED:
        uow.notify(queue_of(uow.runs.plan(run.project_id, run.run_id).environment.platform))


def _after_loss(call: Call, execution: Execution, run: Run) -> Run:
    if run.state is not RunState.DISPATCHING:
        given_up = advance(run, Move.GIVE_UP, call.now) if run.state is RunState.UNKNOWN else run
        if execution.cancel_requested:
            return advance(given_up, Move.CANCEL, call.now)
        return advance(given_up, Move.FAIL, call.now, failure=LOST)
    if execution.cancel_requested:
        return advance(run, Move.CANCEL, call.now)
    if run.attempt >= call.limits.dispatch_attempts:
        return advance(run, Move.FAIL, call.now, failure=NEVER_STARTED)
    # A new epoch at once: should the lost executor come back, it is refused even before the next lease.
    return advance(run, Move.RETURN, call.now, epoch=run.epoch + 1)


def _facts(execution: Execution) -> dict[str, object]:
    return {"execution_id": execution.execution_id, "executor": execution.executor}


HANDLERS: dict[Handling, Callable[[UnitOfWork, Call, Execution, Run], None]] = {
    Handling.RETURN: _give_up,
    Handling.DOUBT: _doubt,
    Handling.GIVE_UP: _give_up,
}
"""What is not here is left as it is."""
