# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Only the holder of the newest epoch of a live attempt is listened to; everyone else hears ``stale_epoch``.

An attempt starts once: until its first report its executor may repeat the start (the answer may have been lost), which
kills the token given before. Whatever the executor finds missing of a run's protection is judged by the run's own
policies before user code may start.
"""

from __future__ import annotations

import msgspec

from animus_contracts.audit import Action
from animus_contracts.executions import (
    Execution,
    ExecutionState,
    Heartbeat,
    HeartbeatReply,
    RenewCredentials,
    RunCredentials,
    StartExecution,
    Verdict,
)
from animus_contracts.identifiers import ExecutionId
from animus_contracts.policies import PolicyDecision
from animus_contracts.runs import Run, RunState
from animus_control.domain.errors import ConflictError, MissingError
from animus_control.domain.runs import Move, advance, merged
from animus_control.services.access import RefusedError
from animus_control.services.admission import objection, policy_failure
from animus_control.services.calls import Call, audited
from animus_control.services.moves import store_move
from animus_control.services.objects import Content
from animus_control.services.operations import operation
from animus_control.services.policies import decision_details
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import require
from animus_control.services.tokens import DISPATCH, RUN, issue, token_hash

LIVE = frozenset({ExecutionState.LEASED, ExecutionState.RUNNING})
LOST = frozenset({RunState.UNKNOWN, RunState.RECONCILING})
NO_EXECUTION = "There is no such execution, or another executor has it."


@operation("executions.start")
def start_execution(uow: UnitOfWork, call: Call, message: StartExecution) -> RunCredentials:
    """Start an attempt and give its run token."""
    execution, run = held(uow, call, epoch=message.epoch)
    _check_dispatch_token(uow, call, execution, message.dispatch_token)
    life = call.limits.run_token
    if execution.state is ExecutionState.RUNNING:
        _refuse_second_start(execution)
        uow.tokens.revoke(execution.execution_id, kind=RUN)
    else:
        execution = _started(uow, call, execution, run, message)
    token = issue(uow, call, execution, kind=RUN, life=life)
    return RunCredentials(run_token=token, expires_in_seconds=life.total_seconds())


@operation("executions.renew")
def renew_credentials(uow: UnitOfWork, call: Call, message: RenewCredentials) -> RunCredentials:
    """Give another run token for a started attempt, to whoever delivers what a killed supervisor left."""
    execution, _ = held(uow, call, epoch=message.epoch)
    if execution.state is not ExecutionState.RUNNING:
        raise ConflictError("invalid_transition", "The attempt has not started.", remedy="Start it.")
    uow.tokens.revoke(execution.execution_id, kind=RUN)
    life = call.limits.run_token
    return RunCredentials(
        run_token=issue(uow, call, execution, kind=RUN, life=life), expires_in_seconds=life.total_seconds()
    )


@operation("executions.heartbeat")
def heartbeat(uow: UnitOfWork, call: Call, message: Heartbeat) -> HeartbeatReply:
    """Renew an attempt's lease and the life of its tokens; a run thought lost is found again."""
    execution, run = held(uow, call, epoch=message.epoch)
    renewed = msgspec.structs.replace(execution, lease_expires_at=call.now + call.limits.lease)
    save(uow, renewed)
    uow.tokens.extend(execution.execution_id, expires_at=call.now + call.limits.run_token)
    if run.state in LOST:
        found = advance(run, Move.RECOVER, call.now)
        details = {"execution_id": execution.execution_id}
        store_move(uow, call, run, found, Action.RUN_STATE_CHANGED, details)
    return HeartbeatReply(
        lease_seconds=call.limits.lease.total_seconds(),
        token_expires_in_seconds=call.limits.run_token.total_seconds(),
        cancel=execution.cancel_requested,
    )


@operation("executions.input")
def input_for_fetch(uow: UnitOfWork, call: Call, message: None) -> Content:  # noqa: ARG001 - every operation has a message
    """Return the file of one of the run's inputs that a fetch names by its digest.

    Raises:
        MissingError: If the run is bound to no such file, whether or not the project holds it.
    """
    execution = reporting(uow, call)
    plan = uow.runs.plan(execution.project_id, execution.run_id)
    entries = (entry for planned in plan.inputs for entry in planned.files)
    entry = next((entry for entry in entries if entry.digest == call.path["digest"]), None)
    if entry is None:
        raise MissingError("not_found", "No input of this run has this digest.")
    return Content(digest=entry.digest, size_bytes=entry.size_bytes, name=entry.path)


def reporting(uow: UnitOfWork, call: Call) -> Execution:
    """Return the live attempt that a run token belongs to.

    Raises:
        ConflictError: ``stale_epoch`` when the attempt has ended, was lost, or the token is of an older epoch.
    """
    claim = call.principal.run
    execution = uow.executions.get(ExecutionId(call.path["execution"]))
    if execution is None or claim is None:
        raise MissingError("not_found", NO_EXECUTION)
    _check_epoch(execution, claim.epoch)
    if execution.state is not ExecutionState.RUNNING:
        raise ConflictError("stale_epoch", f"The attempt is {execution.state}.")
    return execution


def owned(uow: UnitOfWork, call: Call) -> Execution:
    """Return the attempt a call names, if the calling executor leased it."""
    execution = uow.executions.get(ExecutionId(call.path["execution"]))
    if execution is None or execution.executor != call.principal.name:
        raise MissingError("not_found", NO_EXECUTION)
    return execution


def held(uow: UnitOfWork, call: Call, *, epoch: int) -> tuple[Execution, Run]:
    """Return a live attempt and its run, if the calling executor holds it under this epoch."""
    execution = owned(uow, call)
    _check_epoch(execution, epoch)
    if execution.state not in LIVE:
        raise ConflictError("stale_epoch", f"The attempt is {execution.state}.", remedy="Stop it.")
    return execution, require(uow.runs.get(execution.project_id, execution.run_id), "run")


def save(uow: UnitOfWork, execution: Execution) -> None:
    """Store a live attempt, if nobody ended it meanwhile."""
    if not uow.executions.save(execution, expected_epoch=execution.epoch):
        raise ConflictError("stale_epoch", "The attempt is over.", remedy="Stop it.")


def _check_epoch(execution: Execution, epoch: int) -> None:
    if epoch != execution.epoch:
        detail = f"The attempt has epoch {execution.epoch}, not {epoch}."
        raise ConflictError("stale_epoch", detail, remedy="Stop it: another executor may hold the run.")


def _check_dispatch_token(uow: UnitOfWork, call: Call, execution: Execution, token: str) -> None:
    stored = uow.tokens.find(token_hash(token))
    is_valid = (
        stored is not None
        and stored.kind == DISPATCH
        and stored.execution_id == execution.execution_id
        and stored.epoch == execution.epoch
        and stored.expires_at > call.now
    )
    if not is_valid:
        raise _rejected(call, execution)


def _rejected(call: Call, execution: Execution) -> RefusedError:
    def record(uow: UnitOfWork) -> None:
        details = {"kind": DISPATCH, "run_id": execution.run_id}
        resource = f"execution:{execution.execution_id}"
        scope = execution.project_id
        uow.audit.append(audited(call, Action.TOKEN_REJECTED, resource, project_id=scope, details=details, denied=True))

    return RefusedError("forbidden", "The dispatch token is not valid for this attempt, or was used up.", record=record)


def _refuse_second_start(execution: Execution) -> None:
    if execution.last_sequence > 0:
        raise ConflictError("invalid_transition", "The attempt has started and reported already.")


def _started(uow: UnitOfWork, call: Call, execution: Execution, run: Run, message: StartExecution) -> Execution:
    limitations = merged(run.limitations, message.limitations)
    denied = objection(uow, call, run, limitations)
    if denied is not None:
        raise _refusal(call, execution, run, denied)
    execution = msgspec.structs.replace(
        execution,
        state=ExecutionState.RUNNING,
        started_at=call.now,
        lease_expires_at=call.now + call.limits.lease,
    )
    save(uow, execution)
    after = advance(run, Move.START, call.now, limitations=limitations)
    details = {"execution_id": execution.execution_id, "limitations": limitations}
    store_move(uow, call, run, after, Action.EXECUTION_STARTED, details)
    return execution


def _refusal(call: Call, execution: Execution, run: Run, decision: PolicyDecision) -> RefusedError:
    def record(uow: UnitOfWork) -> None:
        uow.policy_decisions.add(decision)
        ended = msgspec.structs.replace(
            execution, state=ExecutionState.ENDED, ended_at=call.now, verdict=Verdict.FAILED
        )
        save(uow, ended)
        uow.tokens.revoke(execution.execution_id)
        after = advance(run, Move.FAIL, call.now, failure=policy_failure(decision))
        details = {"execution_id": execution.execution_id, **decision_details(decision)}
        store_move(uow, call, run, after, Action.POLICY_DECIDED, details)

    extra = {"decision_id": decision.decision_id, "deciding": decision.deciding, "snapshot": decision.snapshot_digest}
    return RefusedError(
        "policy_denied", decision.reason, record=record, remedy="The run has failed: do not start it.", extra=extra
    )
