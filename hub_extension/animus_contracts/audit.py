# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log is one contiguous hash chain; every event names who did what to which resource, and how it ended."""

from __future__ import annotations

import hashlib
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts.identifiers import ProjectId

GENESIS = "0" * 64
"""What the first event of a log names as its predecessor."""

LEAF_PREFIX = b"\x00"  # RFC 6962, section 2.1: leaves and nodes are hashed in separate domains


class Action(StrEnum):
    """Everything that is audited. Values leave the process and never change their meaning."""

    ACCESS_DENIED = "access.denied"
    APPROVAL_APPROVED = "approval.approved"
    APPROVAL_DENIED = "approval.denied"
    APPROVAL_EXPIRED = "approval.expired"
    APPROVAL_REFUSED = "approval.refused"
    APPROVAL_REQUESTED = "approval.requested"
    APPROVAL_WITHDRAWN = "approval.withdrawn"
    ARTIFACT_CREATED = "artifact.created"
    ARTIFACT_DOWNLOADED = "artifact.downloaded"
    COMPARISON_CREATED = "comparison.created"
    COMPARISON_ENDED = "comparison.ended"
    DATASET_CREATED = "dataset.created"
    DATASET_VERSION_CREATED = "dataset_version.created"
    DATASET_VERSION_DOWNLOADED = "dataset_version.downloaded"
    ENVIRONMENT_ARCHIVED = "environment.archived"
    ENVIRONMENT_DEFINED = "environment.defined"
    ENVIRONMENT_LOCKED = "environment.locked"
    EXECUTION_ENDED = "execution.ended"
    EXECUTION_LEASED = "execution.leased"
    EXECUTION_LOST = "execution.lost"
    EXECUTION_STARTED = "execution.started"
    EXECUTOR_REGISTERED = "executor.registered"
    INSPECTION_CREATED = "inspection.created"
    INSPECTION_ENDED = "inspection.ended"
    OBJECT_STORED = "object.stored"
    PIPELINE_CANCELED = "pipeline.canceled"
    PIPELINE_CREATED = "pipeline.created"
    PIPELINE_ENDED = "pipeline.ended"
    PIPELINE_NODE_ENDED = "pipeline.node_ended"
    PIPELINE_NODE_HELD = "pipeline.node_held"
    PIPELINE_NODE_SKIPPED = "pipeline.node_skipped"
    PIPELINE_NODE_SUBMITTED = "pipeline.node_submitted"
    PIPELINE_REPAIRED = "pipeline.repaired"
    POLICY_DECIDED = "policy.decided"
    POLICY_SNAPSHOT_MATERIALIZED = "policy.snapshot.materialized"
    POLICY_STORED = "policy.stored"
    PREFLIGHT_CREATED = "preflight.created"
    PREFLIGHT_ENDED = "preflight.ended"
    PROJECT_ARCHIVED = "project.archived"
    PROJECT_CREATED = "project.created"
    PROJECT_UNARCHIVED = "project.unarchived"
    PROJECT_UPDATED = "project.updated"
    QUOTA_STORED = "quota.stored"
    ROLE_BINDING_DELETED = "rbac.role_binding_deleted"
    ROLE_BINDING_STORED = "rbac.role_binding_stored"
    RUN_CANCEL_REQUESTED = "run.cancel_requested"
    RUN_CREATED = "run.created"
    RUN_REFUSED = "run.refused"
    RUN_RETRY_HELD = "run.retry_held"
    RUN_RETRY_REFUSED = "run.retry_refused"
    RUN_RETRY_SCHEDULED = "run.retry_scheduled"
    RUN_RETRY_WITHDRAWN = "run.retry_withdrawn"
    RUN_STATE_CHANGED = "run.state_changed"
    SCHEDULE_CREATED = "schedule.created"
    SCHEDULE_FIRED = "schedule.fired"
    SCHEDULE_PAUSED = "schedule.paused"
    SCHEDULE_RESUMED = "schedule.resumed"
    SCHEDULE_RETIRED = "schedule.retired"
    TOKEN_REJECTED = "token.rejected"  # noqa: S105 - the name of an event, not a token


class Outcome(StrEnum):
    """How an audited action ended."""

    SUCCESS = "success"
    DENIED = "denied"


class AuditRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What happened, before it has its place in the chain. Its canonical bytes are what the chain hashes.

    Attributes:
        occurred_at: When, in UTC, at microsecond precision.
        project_id: The project concerned, or None for platform-wide actions.
        actor: Who, ``user:ann``, ``service:ci``, ``executor:local``, ``run:<id>`` or ``system:reconciler``.
        resource: What, ``run:<id>``.
        request_id: The request that caused it.
        details: Facts by allow-list; never secrets, parameters' values or bodies.
    """

    occurred_at: datetime
    project_id: ProjectId | None
    actor: str
    action: Action
    resource: str
    outcome: Outcome
    request_id: str
    details: dict[str, Any]


class AuditEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A record at its place in the chain.

    Attributes:
        sequence: 1, 2, 3, … without gaps.
        record: The canonical JSON of the :class:`AuditRecord`, exactly as it was hashed.
        previous_hash: ``hash`` of the event before, or :data:`GENESIS`.
        hash: :func:`chain_hash` of the two, lower-case hexadecimal.
    """

    sequence: int
    record: msgspec.Raw
    previous_hash: str
    hash: str


class ChainFault(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The first place at which a log does not hold together."""

    sequence: int
    fault: str


def chain_hash(previous_hash: str, record: bytes) -> str:
    """Return ``SHA-256(0x00 ‖ previous ‖ record)`` as hexadecimal.

    Args:
        previous_hash: 64 hexadecimal characters.
        record: Canonical bytes of the audit record.
    """
    return hashlib.sha256(LEAF_PREFIX + bytes.fromhex(previous_hash) + record).hexdigest()


def first_fault(events: list[AuditEvent], *, sequence: int = 0, head: str = GENESIS) -> ChainFault | None:
    """Check a stretch of the chain and name the first event that does not fit.

    Args:
        events: Consecutive events.
        sequence: Sequence of the event before the first one.
        head: Hash of the event before the first one.

    Returns:
        None when every event fits; otherwise the first fault.
    """
    for event in events:
        sequence += 1
        if event.sequence != sequence:
            return ChainFault(sequence=sequence, fault=f"missing: found {event.sequence} instead")
        if event.previous_hash != head:
            return ChainFault(sequence=sequence, fault="does not follow its predecessor")
        if chain_hash(head, bytes(event.record)) != event.hash:
            return ChainFault(sequence=sequence, fault="content does not match its hash")
        head = event.hash
    return None
