# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A submission is checked, bound to exact versions, judged by policy, and stored with its plan: all of it or nothing.

A refused one leaves the decision and its audit events, stored by the edge after the attempt was rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from animus_contracts.audit import Action
from animus_contracts.datasets import DatasetVersion
from animus_contracts.digests import Digest
from animus_contracts.identifiers import DecisionId, RunId
from animus_contracts.origins import NodeRef, Origin, ScheduleRef
from animus_contracts.parameters import schema_digest
from animus_contracts.plans import Plan, plan_digest
from animus_contracts.policies import Effect, PolicyDecision, PolicySnapshot
from animus_contracts.runs import (
    ArtifactBinding,
    DatasetBinding,
    Limitation,
    Run,
    RunState,
    SubmitRun,
    inputs_hash,
    spec_hash,
)
from animus_control.domain import lineage
from animus_control.domain.approvals import with_approval
from animus_control.domain.plans import bind_artifact, build_plan
from animus_control.domain.policies import SUBMIT, build_context
from animus_control.domain.runs import Move, advance, check_submission, merged
from animus_control.services.access import RefusedError
from animus_control.services.approvals import possible_approvers, request_approval
from animus_control.services.binding import Bound, bind
from animus_control.services.calls import Call, audited
from animus_control.services.moves import announce, publish, queue_of
from animus_control.services.operations import operation
from animus_control.services.policies import decide, decision_details, store_snapshot
from animus_control.services.ports import UnitOfWork
from animus_control.services.quotas import check_priority
from animus_control.services.scope import project_of
from animus_control.services.user_groups import note_caller

UNDECIDED = DecisionId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ties:
    """What ties a run to others, when it is not a person's plain submission.

    Attributes:
        origin: The run it repeats.
        schedule: The firing that submitted it.
        pipeline: Its place in a pipeline run.
        not_before: When it may be given to an executor at the earliest.
        snapshot: The policies it is judged by, when they are not today's.
        parameters_schema_digest: What its notebook declares, when that was checked before and is known by its digest.
        approved_by: Who approved the run that the platform itself retries.
    """

    origin: Origin | None = None
    schedule: ScheduleRef | None = None
    pipeline: NodeRef | None = None
    not_before: datetime | None = None
    snapshot: PolicySnapshot | None = None
    parameters_schema_digest: Digest | None = None
    approved_by: str = ""


UNTIED = Ties()

SAID = (
    "run_class", "code", "parameters", "outputs", "seed", "labels", "priority", "queue_seconds", "cell_seconds",
    "retries", "executor_labels",
)  # fmt: skip
"""What a run repeats of its submission, word for word."""

TIED = ("not_before", "origin", "schedule", "pipeline")
"""What a run repeats of its ties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A run that is not admitted yet, and its plan."""

    run: Run
    plan: Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A submission that was bound and judged, and is not stored."""

    bound: Bound
    draft: Draft
    decision: PolicyDecision


@operation("runs.submit")
def submit_run(uow: UnitOfWork, call: Call, message: SubmitRun) -> Run:
    """Submit a run; when this returns it is queued, or waits for an approval."""
    check_submission(message, call.limits)
    return admit_in_person(uow, call, message)


def admit_in_person(uow: UnitOfWork, call: Call, message: SubmitRun, ties: Ties = UNTIED) -> Run:
    """Admit what a caller submits themselves; as :func:`admit`, whose errors it raises.

    A run may fail before the Hub is asked about its owner, so what it has just said of them is kept for a retry.
    """
    run = admit(uow, call, message, ties)
    if run.retries:
        note_caller(uow, call)
    return run


def admit(uow: UnitOfWork, call: Call, message: SubmitRun, ties: Ties = UNTIED) -> Run:
    """Bind, judge and store a submission whose form was checked before.

    Args:
        uow: The unit of work; nothing was changed in it when this raises.
        call: Who submits, with the project and the role.
        message: The submission.
        ties: What ties it to other runs.

    Raises:
        RefusedError: ``policy_denied``; its ``record`` stores the decision.
        MissingError: If a lock, a dataset version or an artifact is not there.
        InvalidError: ``resource_limit_exceeded`` or ``priority_limit_exceeded``.
    """
    judged = judge(uow, call, message, ties)
    if judged.decision.effect is Effect.DENY:
        raise _refusal(call, judged.bound, judged.decision, judged.draft.run)
    return _store(uow, call, judged.bound, judged.decision, judged.draft)


def judge(uow: UnitOfWork, call: Call, message: SubmitRun, ties: Ties = UNTIED) -> Judged:
    """Bind a submission and ask the policies; nothing is changed.

    Raises:
        MissingError: If a lock, a dataset version or an artifact is not there.
        InvalidError: ``resource_limit_exceeded`` or ``priority_limit_exceeded``.
    """
    check_priority(uow, call, message)
    bound = bind(uow, call, message, ties.snapshot)
    draft = _draft(call, message, bound, ties)
    run = draft.run
    context = build_context(run, bound.lock, call.principal, call.role)
    if ties.approved_by:
        context = with_approval(context, ties.approved_by)
    name = project_of(call).name
    decision = decide(
        call,
        bound.snapshot,
        subject=run.created_by,
        action=SUBMIT,
        project_name=name,
        context=context,
        approvers=possible_approvers(uow, call),
    )
    return Judged(bound=bound, draft=draft, decision=decision)


def _draft(call: Call, message: SubmitRun, bound: Bound, ties: Ties) -> Draft:
    bindings = [_binding(name, bound.versions[message.datasets[name]]) for name in sorted(message.datasets)]
    artifacts = [bind_artifact(name, bound.artifacts[message.artifacts[name]]) for name in sorted(message.artifacts)]
    resources = message.resources or bound.lock.limits
    inputs = inputs_hash(
        code=message.code,
        env_hash=bound.lock.env_hash,
        inputs=_contents(bindings) | _contents(artifacts),
        parameters=message.parameters,
        resources=resources,
        seed=message.seed,
    )
    unseeded = [Limitation.SEED_NOT_SET] if message.seed is None else []
    repeated: dict[str, Any] = {name: getattr(message, name) for name in SAID} | {
        name: getattr(ties, name) for name in TIED
    }
    run = Run(
        **repeated,
        run_id=RunId(call.new_id()),
        project_id=project_of(call).project_id,
        environment_lock_id=bound.lock.lock_id,
        env_hash=bound.lock.env_hash,
        datasets=bindings,
        parameters_schema_digest=ties.parameters_schema_digest or schema_digest(message.parameters_schema),
        resources=resources,
        policy_snapshot_id=bound.snapshot.snapshot_id,
        policy_snapshot_digest=bound.snapshot.digest,
        policy_decision_id=UNDECIDED,
        inputs_hash=inputs,
        spec_hash=spec_hash(inputs=inputs, policy_snapshot=bound.snapshot.digest, run_class=message.run_class),
        plan_digest=inputs,  # replaced below: the plan is built of the run
        created_at=call.now,
        created_by=call.principal.subject,
        artifacts=artifacts,
        state=RunState.CREATED,
        limitations=merged(message.limitations, unseeded),
    )
    plan = build_plan(run, bound.lock, bound.versions, bound.artifacts)
    return Draft(run=msgspec.structs.replace(run, plan_digest=plan_digest(plan)), plan=plan)


def _contents(bindings: Sequence[DatasetBinding] | Sequence[ArtifactBinding]) -> dict[str, Digest]:
    return {binding.name: binding.content_digest for binding in bindings}


def _binding(name: str, version: DatasetVersion) -> DatasetBinding:
    return DatasetBinding(
        name=name,
        version_id=version.version_id,
        dataset=version.dataset,
        ordinal=version.ordinal,
        content_digest=version.content_digest,
    )


def _store(uow: UnitOfWork, call: Call, bound: Bound, decision: PolicyDecision, draft: Draft) -> Run:
    if bound.snapshot_is_new:
        store_snapshot(uow, call, bound.snapshot)
    uow.policy_decisions.add(decision)
    waits = decision.effect is Effect.REQUIRE_APPROVAL
    moved = advance(advance(draft.run, Move.PLAN, call.now), Move.AWAIT_APPROVAL if waits else Move.QUEUE, call.now)
    # One unit of work, one version: nobody can have seen the states in between.
    run = msgspec.structs.replace(moved, version=1, policy_decision_id=decision.decision_id)
    uow.runs.add_with_plan(run, draft.plan)
    edges = lineage.of_submission(run)
    uow.lineage.add(lineage.build_edges(edges, project_id=run.project_id, now=call.now, new_id=call.new_id))
    details = {**_facts(run), "state": run.state, **decision_details(decision)}
    uow.audit.append(audited(call, Action.RUN_CREATED, f"run:{run.run_id}", details=details))
    announce(uow, call, run)
    publish(uow, call, "run.created", run)
    if waits:
        request_approval(uow, call, run, decision)
    else:
        uow.notify(queue_of(draft.plan.environment.platform))
    return run


def _facts(run: Run) -> dict[str, object]:
    """Return what the audit log says of a submission; of parameters only their schema's digest, never a value."""
    return {
        "run_class": run.run_class,
        "commit": run.code.commit,
        "environment_lock_id": run.environment_lock_id,
        "dataset_versions": [binding.version_id for binding in run.datasets],
        "inputs_hash": run.inputs_hash,
        "spec_hash": run.spec_hash,
        "plan_digest": run.plan_digest,
        "limitations": run.limitations,
    }


def _refusal(call: Call, bound: Bound, decision: PolicyDecision, run: Run) -> RefusedError:
    def record(uow: UnitOfWork) -> None:
        # Another submission may have stored the same snapshot since; equal sets share one.
        known = uow.policy_snapshots.find(decision.project_id, digest=decision.snapshot_digest)
        if known is None:
            store_snapshot(uow, call, bound.snapshot)
        snapshot_id = known.snapshot_id if known else bound.snapshot.snapshot_id
        uow.policy_decisions.add(msgspec.structs.replace(decision, snapshot_id=snapshot_id))
        details = {**_facts(run), **decision_details(decision)}
        resource = f"policy_decision:{decision.decision_id}"
        uow.audit.append(audited(call, Action.RUN_REFUSED, resource, details=details, denied=True))

    texts = {f"{text.origin}/{text.name}" for text in bound.snapshot.policies}
    shown = [name for name in sorted(texts) if any(key.startswith(f"{name}/") for key in decision.deciding)]
    extra = {
        "decision_id": decision.decision_id,
        "deciding": decision.deciding,
        "missing": decision.missing,
        "snapshot": decision.snapshot_digest,
        "policies": [
            {"name": text.name, "version": text.version, "origin": text.origin, "cedar": text.cedar}
            for text in bound.snapshot.policies
            if f"{text.origin}/{text.name}" in shown
        ],
    }
    missing = f"It needs: {', '.join(decision.missing)}." if decision.missing else ""
    return RefusedError("policy_denied", decision.reason, record=record, remedy=missing, extra=extra)
