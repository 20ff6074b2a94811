# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A submission is checked, bound to exact versions, judged by policy, and stored with its plan: all of it or nothing.

A refused one leaves the decision and its audit events, stored by the edge after the attempt was rolled back.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from animus_contracts.audit import Action
from animus_contracts.datasets import DatasetVersion
from animus_contracts.environments import EnvironmentLock
from animus_contracts.identifiers import DatasetVersionId, DecisionId, RunId
from animus_contracts.parameters import schema_digest
from animus_contracts.plans import Plan, plan_digest
from animus_contracts.policies import Effect, PolicyDecision, PolicySnapshot
from animus_contracts.problems import Fault
from animus_contracts.runs import DatasetBinding, Limitation, Run, RunState, SubmitRun, inputs_hash, spec_hash
from animus_control.domain import lineage
from animus_control.domain.environments import limit_faults
from animus_control.domain.errors import MissingError
from animus_control.domain.names import refuse
from animus_control.domain.plans import build_plan
from animus_control.domain.policies import SUBMIT, build_context
from animus_control.domain.runs import Move, advance, check_submission, merged
from animus_control.services.access import RefusedError
from animus_control.services.calls import Call, audited
from animus_control.services.moves import announce, publish, queue_of
from animus_control.services.operations import operation
from animus_control.services.policies import current_snapshot, decide, decision_details, store_snapshot
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of, require

Versions = dict[DatasetVersionId, DatasetVersion]
UNDECIDED = DecisionId("")


@dataclass(frozen=True, slots=True, kw_only=True)
class Bound:
    """What a submission is bound to."""

    lock: EnvironmentLock
    versions: Versions
    snapshot: PolicySnapshot
    snapshot_is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A run that is not admitted yet, and its plan."""

    run: Run
    plan: Plan


@operation("runs.submit")
def submit_run(uow: UnitOfWork, call: Call, message: SubmitRun) -> Run:
    """Submit a run; it is queued when this returns."""
    check_submission(message, call.limits)
    bound = _bind(uow, call, message)
    draft = _draft(call, message, bound)
    run = draft.run
    context = build_context(run, bound.lock, call.principal, call.role)
    name = project_of(call).name
    decision = decide(call, bound.snapshot, subject=run.created_by, action=SUBMIT, project_name=name, context=context)
    if decision.effect is Effect.DENY:
        raise _refusal(call, bound, decision, run)
    return _store(uow, call, bound, decision, draft)


def _bind(uow: UnitOfWork, call: Call, message: SubmitRun) -> Bound:
    project_id = project_of(call).project_id
    found = uow.environment_locks.get(project_id, message.environment_lock_id)
    lock = require(found, "environment lock", "environment_lock_not_found")
    if message.resources is not None:
        remedy = "Ask for less, or define the next version of the environment with higher limits."
        refuse(limit_faults(message.resources, lock.limits), code="resource_limit_exceeded", remedy=remedy)
    versions: Versions = {}
    faults = []
    for name, version_id in message.datasets.items():
        version = uow.dataset_versions.get(project_id, version_id)
        if version is None:
            words = "there is no such dataset version in this project"
            faults.append(Fault(path=f"$.datasets.{name}", code="dataset_version_not_found", message=words))
        else:
            versions[version_id] = version
    if faults:
        raise MissingError("dataset_version_not_found", f"{faults[0].path}: {faults[0].message}", faults=faults)
    snapshot, is_new = current_snapshot(uow, call)
    return Bound(lock=lock, versions=versions, snapshot=snapshot, snapshot_is_new=is_new)


def _draft(call: Call, message: SubmitRun, bound: Bound) -> Draft:
    bindings = [_binding(name, bound.versions[message.datasets[name]]) for name in sorted(message.datasets)]
    resources = message.resources or bound.lock.limits
    inputs = inputs_hash(
        code=message.code,
        env_hash=bound.lock.env_hash,
        datasets=bindings,
        parameters=message.parameters,
        resources=resources,
        seed=message.seed,
    )
    unseeded = [Limitation.SEED_NOT_SET] if message.seed is None else []
    run = Run(
        run_id=RunId(call.new_id()),
        project_id=project_of(call).project_id,
        run_class=message.run_class,
        code=message.code,
        environment_lock_id=bound.lock.lock_id,
        env_hash=bound.lock.env_hash,
        datasets=bindings,
        parameters=message.parameters,
        parameters_schema_digest=schema_digest(message.parameters_schema),
        outputs=message.outputs,
        resources=resources,
        seed=message.seed,
        labels=message.labels,
        policy_snapshot_id=bound.snapshot.snapshot_id,
        policy_snapshot_digest=bound.snapshot.digest,
        policy_decision_id=UNDECIDED,
        inputs_hash=inputs,
        spec_hash=spec_hash(inputs=inputs, policy_snapshot=bound.snapshot.digest, run_class=message.run_class),
        plan_digest=inputs,  # replaced below: the plan is built of the run
        created_at=call.now,
        created_by=call.principal.subject,
        state=RunState.CREATED,
        limitations=merged(message.limitations, unseeded),
    )
    plan = build_plan(run, bound.lock, bound.versions)
    return Draft(run=msgspec.structs.replace(run, plan_digest=plan_digest(plan)), plan=plan)


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
    queued = advance(advance(draft.run, Move.PLAN, call.now), Move.QUEUE, call.now)
    # One unit of work, one version: nobody can have seen the states in between.
    run = msgspec.structs.replace(queued, version=1, policy_decision_id=decision.decision_id)
    uow.runs.add_with_plan(run, draft.plan)
    edges = lineage.of_submission(run)
    uow.lineage.add(lineage.build_edges(edges, project_id=run.project_id, now=call.now, new_id=call.new_id))
    details = {**_facts(run), "state": run.state, **decision_details(decision)}
    uow.audit.append(audited(call, Action.RUN_CREATED, f"run:{run.run_id}", details=details))
    announce(uow, call, run)
    publish(uow, call, "run.created", run)
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
