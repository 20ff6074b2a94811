# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run is done again as a new run: by a person as a rerun or a replay, by the platform as a retry.

A rerun is judged by today's policies, a replay by those the first run was admitted under; both are the caller's. A
retry is its owner's, with the rights the owner has now and under the policies and the approval of the run it repeats;
when that is refused, the refusal is recorded and nothing is retried. As long as nobody can tell which rights these are,
the retry is held, but not for ever.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from animus_contracts.approvals import ApprovalState
from animus_contracts.audit import Action
from animus_contracts.comparisons import ReplayRun
from animus_contracts.digests import Digest
from animus_contracts.origins import Relation
from animus_contracts.permissions import Permission
from animus_contracts.policies import PolicySnapshot
from animus_contracts.runs import TERMINAL_STATES, Run
from animus_control.domain.comparisons import tolerance_faults
from animus_control.domain.errors import AnimusError, ConflictError, MissingError
from animus_control.domain.names import refuse
from animus_control.domain.repeats import HeldRetry, is_retried, origin_of_repeat, retry_delay, submission_of
from animus_control.services.access import RefusedError
from animus_control.services.acting import on_behalf
from animus_control.services.calls import Call, audited
from animus_control.services.comparisons import verify_replay
from animus_control.services.moves import ENDED, tell_waiters
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id, require
from animus_control.services.submission import Ties, admit, admit_in_person
from animus_control.services.user_groups import UnknownGroupsError

BATCH = 50
GONE = "replay_input_unavailable"
MEND = "Bring the same bytes back, or submit a new run with inputs that are there."


@operation("runs.rerun")
def rerun(uow: UnitOfWork, call: Call, message: None) -> Run:  # noqa: ARG001 - every operation has a message
    """Submit a run's inputs again, under today's policies."""
    run = _ended(uow, call)
    ties = Ties(origin=origin_of_repeat(run, Relation.RERUN), parameters_schema_digest=run.parameters_schema_digest)
    return admit_in_person(uow, call, submission_of(run), ties)


@operation("runs.replay")
def replay(uow: UnitOfWork, call: Call, message: ReplayRun) -> Run:
    """Execute a run's stored plan again; the edge has looked for the bytes it needs."""
    refuse(tolerance_faults(message.tolerances))
    run = _ended(uow, call)
    ties = Ties(
        origin=origin_of_repeat(run, Relation.REPLAY),
        parameters_schema_digest=run.parameters_schema_digest,
        snapshot=_snapshot(uow, run),
    )
    try:
        made = admit_in_person(uow, call, submission_of(run), ties)
    except MissingError as error:
        raise ConflictError(GONE, error.detail, faults=error.faults, remedy=MEND) from error
    if message.verify:
        verify_replay(uow, call, made, run.run_id, message.tolerances)
    return made


def bytes_for_replay(uow: UnitOfWork, call: Call) -> list[tuple[str, Digest]]:
    """Return what a replay would read, each with a name for people; records that are gone are left to the replay."""
    run = _ended(uow, call)
    needed: list[tuple[str, Digest]] = []
    for bound in run.datasets:
        version = uow.dataset_versions.get(run.project_id, bound.version_id)
        files = version.files if version else []
        name = f"dataset version {bound.dataset}@{bound.ordinal} ({bound.name})"
        needed += [(f"{name}: file {file.path!r}", file.digest) for file in files]
    return needed + [
        (f"artifact {bound.artifact!r} of run {bound.run_id} ({bound.name})", bound.digest) for bound in run.artifacts
    ]


def newest_attempt_of(uow: UnitOfWork, run: Run) -> Run:
    """Follow a run's automatic retries to the newest one; the run itself when it was not retried."""
    while True:
        retry = uow.runs.find(run.project_id, repeats=run.run_id, relation=Relation.RETRY)
        if retry is None:
            return run
        run = retry


def repetitions_of(uow: UnitOfWork, run: Run, *, limit: int) -> list[Run]:
    """Return the newest runs that repeat this one."""
    return uow.runs.page(run.project_id, limit=limit, cursor=None, repeats=run.run_id).items


def retry(uow: UnitOfWork, call: Call, run: Run) -> None:
    """Retry a run that has just ended, if it is one that the platform retries, and tell who waits for its end."""
    made = None
    if is_retried(run):
        try:
            made = _retried(uow, call, run)
        except UnknownGroupsError as error:
            held = HeldRetry(project_id=run.project_id, run_id=run.run_id, since=call.now, reason=error.detail)
            uow.held_retries.add(held)
            _audit(uow, call, Action.RUN_RETRY_HELD, run, {"reason": error.detail})
    tell_waiters(uow, call, run, made)


def resume_retries(uow: UnitOfWork, call: Call) -> int:
    """Decide about retries that wait no longer; call it every second or so with the system's principal.

    Returns:
        How many were handled.
    """
    limits = call.limits
    before, known_since = call.now - limits.hold, call.now - limits.groups_known
    due = uow.held_retries.due(known_since=known_since, before=before, limit=BATCH)
    for held in due:
        run = require(uow.runs.get(held.project_id, held.run_id), "run")
        if uow.held_retries.get(run.project_id, run.run_id) is None:
            continue  # a pipeline run that ended because of the one before has withdrawn it
        made = None
        if held.since < before:
            words = f"given up after {limits.hold // timedelta(minutes=1)} minutes: {held.reason}"
            _audit(uow, call, Action.RUN_RETRY_REFUSED, run, {"code": "service_unavailable", "detail": words})
        else:
            made = _retried(uow, call, run)
        _let_go(uow, call, run, made)
    return len(due)


def withdraw_retry(uow: UnitOfWork, call: Call, run: Run, reason: str) -> None:
    """Retry a run that has ended no more, if its retry is held, because somebody stops it."""
    if uow.held_retries.get(run.project_id, run.run_id) is not None:
        _audit(uow, call, Action.RUN_RETRY_WITHDRAWN, run, {"reason": reason})
        _let_go(uow, call, run, None)


def _let_go(uow: UnitOfWork, call: Call, run: Run, made: Run | None) -> None:
    uow.held_retries.remove(run.project_id, run.run_id)
    tell_waiters(uow, call, run, made)


def _retried(uow: UnitOfWork, call: Call, run: Run) -> Run | None:
    """Submit the retry of a run, or record why it is refused.

    Raises:
        UnknownGroupsError: If it cannot be decided now; nothing was changed.
    """
    ties = Ties(
        origin=origin_of_repeat(run, Relation.RETRY),
        schedule=run.schedule,
        pipeline=run.pipeline,
        not_before=call.now + retry_delay(run, call.limits),
        snapshot=_snapshot(uow, run),
        parameters_schema_digest=run.parameters_schema_digest,
        approved_by=_approver(uow, run),
    )
    project = require(uow.projects.get(run.project_id), "project")
    try:
        owner = on_behalf(uow, call, project, run.created_by, Permission.RUN_SUBMIT)
        made = admit(uow, owner, submission_of(run), ties)
    except UnknownGroupsError:
        raise
    except AnimusError as error:
        if isinstance(error, RefusedError):
            error.record(uow)
        _audit(uow, call, Action.RUN_RETRY_REFUSED, run, {"code": error.code, "detail": error.detail})
        return None
    not_before = ties.not_before.isoformat() if ties.not_before else None
    facts = {"retry": made.run_id, "number": made.origin and made.origin.number, "not_before": not_before}
    _audit(uow, call, Action.RUN_RETRY_SCHEDULED, run, facts)
    return made


def _ended(uow: UnitOfWork, call: Call) -> Run:
    run = by_id(call, uow.runs, "run", "run")
    if run.state not in TERMINAL_STATES:
        detail = f"The run is {run.state}; only a run that has ended can be repeated."
        raise ConflictError("invalid_transition", detail, remedy="Wait for its end, or cancel it first.")
    return run


def _snapshot(uow: UnitOfWork, run: Run) -> PolicySnapshot:
    return require(uow.policy_snapshots.get(run.project_id, run.policy_snapshot_id), "policy snapshot")


def _approver(uow: UnitOfWork, run: Run) -> str:
    """Return who approved a run, or the run whose retry it is; empty when nobody had to."""
    approval = uow.approvals.find(run.project_id, run_id=run.run_id)
    if approval is not None and approval.state is ApprovalState.APPROVED:
        return approval.decided_by or ""
    decision = require(uow.policy_decisions.get(run.project_id, run.policy_decision_id), "policy decision")
    return str(decision.context.get("approval", {}).get("by", ""))


def _audit(uow: UnitOfWork, call: Call, action: Action, run: Run, details: dict[str, Any]) -> None:
    record = audited(call, action, f"run:{run.run_id}", project_id=run.project_id, details=details)
    uow.audit.append(record)


ENDED.append(retry)
