# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A policy counts from the commit that stores it; a decision keeps the policies and the facts it was made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from animus_contracts.audit import Action
from animus_contracts.digests import canonical, digest_bytes
from animus_contracts.identifiers import DecisionId, PolicyId, SnapshotId
from animus_contracts.pages import NamedListQuery, Page
from animus_contracts.policies import Policy, PolicyDecision, PolicySnapshot, PutPolicy
from animus_control.domain.approvals import weigh
from animus_control.domain.names import name_faults, refuse, text_faults
from animus_control.domain.policies import (
    Request,
    check_policy,
    in_force,
    policy_digest,
    snapshot_digest,
)
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id, project_of


@operation("policies.put")
def put_policy(uow: UnitOfWork, call: Call, message: PutPolicy) -> Policy:
    """Store the next version of a policy."""
    refuse([*name_faults(message.name, rule="resource"), *text_faults(message.description, call.limits)])
    check_policy(message.name, message.cedar, call.limits)
    project_id = project_of(call).project_id
    before = uow.policies.find(project_id, name=message.name)
    policy = Policy(
        policy_id=PolicyId(call.new_id()),
        project_id=project_id,
        name=message.name,
        version=before.version + 1 if before else 1,
        description=message.description,
        cedar=message.cedar,
        digest=policy_digest(message.cedar),
        state=message.state,
        created_at=call.now,
        created_by=call.principal.subject,
    )
    uow.policies.add(policy)
    details = {"name": policy.name, "version": policy.version, "digest": policy.digest, "state": policy.state}
    uow.audit.append(audited(call, Action.POLICY_STORED, f"policy:{policy.policy_id}", details=details))
    return policy


@operation("policies.list")
def list_policies(uow: UnitOfWork, call: Call, message: NamedListQuery) -> Page[Policy]:
    """List policies."""
    return paged(uow.policies.page, message, project_of(call).project_id, name=message.name)


@operation("policy_snapshots.read")
def read_snapshot(uow: UnitOfWork, call: Call, message: None) -> PolicySnapshot:  # noqa: ARG001 - every operation has one
    """Return a snapshot."""
    return by_id(call, uow.policy_snapshots, "snapshot", "policy snapshot")


@operation("policy_decisions.read")
def read_decision(uow: UnitOfWork, call: Call, message: None) -> PolicyDecision:  # noqa: ARG001 - as above
    """Return a decision."""
    return by_id(call, uow.policy_decisions, "decision", "policy decision")


def current_snapshot(uow: UnitOfWork, call: Call) -> tuple[PolicySnapshot, bool]:
    """Return the snapshot of the policies in force, and whether it is still to be stored."""
    project_id = project_of(call).project_id
    texts = in_force(uow.policies.newest(project_id))
    digest = snapshot_digest(texts)
    known = uow.policy_snapshots.find(project_id, digest=digest)
    if known is not None:
        return known, False
    snapshot = PolicySnapshot(
        snapshot_id=SnapshotId(call.new_id()),
        project_id=project_id,
        digest=digest,
        policies=texts,
        created_at=call.now,
    )
    return snapshot, True


def store_snapshot(uow: UnitOfWork, call: Call, snapshot: PolicySnapshot) -> None:
    """Store a new snapshot."""
    uow.policy_snapshots.add(snapshot)
    details = {"digest": snapshot.digest, "policies": [f"{text.name}@{text.version}" for text in snapshot.policies]}
    resource = f"policy_snapshot:{snapshot.snapshot_id}"
    record = audited(
        call, Action.POLICY_SNAPSHOT_MATERIALIZED, resource, project_id=snapshot.project_id, details=details
    )
    uow.audit.append(record)


def decide(  # noqa: PLR0913 - a question has these parts
    call: Call,
    snapshot: PolicySnapshot,
    *,
    subject: str,
    action: str,
    project_name: str,
    context: Mapping[str, Any],
    approvers: Iterable[str] = (),
) -> PolicyDecision:
    """Ask a snapshot's policies and return the decision; nothing is stored.

    Args:
        call: When.
        snapshot: The policies.
        subject: Whose action is judged.
        action: What is asked.
        project_name: Where.
        context: The facts.
        approvers: Who might approve what is refused; with none a refusal is final.
    """
    seen = canonical(context)
    request = Request(subject=subject, action=action, project=project_name, context=seen.decode())
    judgement = weigh(snapshot.policies, request, context, approvers)
    return PolicyDecision(
        decision_id=DecisionId(call.new_id()),
        project_id=snapshot.project_id,
        snapshot_id=snapshot.snapshot_id,
        snapshot_digest=snapshot.digest,
        subject=subject,
        action=action,
        effect=judgement.effect,
        deciding=judgement.deciding,
        missing=judgement.missing,
        reason=judgement.reason,
        context=dict(context),
        context_digest=digest_bytes(seen),
        decided_at=call.now,
    )


def decision_details(decision: PolicyDecision) -> dict[str, Any]:
    """Return what the audit log says of a decision."""
    return {
        "decision_id": decision.decision_id,
        "effect": decision.effect,
        "deciding": decision.deciding,
        "missing": decision.missing,
        "context_digest": decision.context_digest,
        "snapshot_digest": decision.snapshot_digest,
    }
