# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies are Cedar text; a snapshot freezes what was in force for a run, a decision why it was admitted or not."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts.digests import Digest
from animus_contracts.identifiers import DecisionId, PolicyId, ProjectId, SnapshotId


class PolicyState(StrEnum):
    """A disabled policy version takes part in no decision."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Version ``version`` of a project's policy; the newest version of a name is the one that counts."""

    policy_id: PolicyId
    project_id: ProjectId
    name: str
    version: int
    description: str
    cedar: str
    digest: Digest
    state: PolicyState
    created_at: datetime
    created_by: str


class PutPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Store the next version of the policy ``name``."""

    name: str
    cedar: str
    description: str = ""
    state: PolicyState = PolicyState.ACTIVE


class PolicyText(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A policy as it stood in a snapshot; ``origin`` is ``platform`` or ``project``."""

    name: str
    version: int
    origin: str
    digest: Digest
    cedar: str


class PolicySnapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The policies in force at one moment. Equal sets share one snapshot: ``digest`` covers ``policies`` only."""

    snapshot_id: SnapshotId
    project_id: ProjectId
    digest: Digest
    policies: list[PolicyText]
    created_at: datetime


class Effect(StrEnum):
    """What a policy decision says; ``require_approval`` is a refusal that another person's approval would lift."""

    ALLOW = "allow"
    DENY = "deny"
    REQUIRE_APPROVAL = "require_approval"


class PolicyDecision(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One answer of the policy engine.

    Attributes:
        subject: Whose action was judged, ``user:ann`` or ``service:ci``.
        action: What was asked, such as ``run:submit``.
        deciding: Names of the policies that made the decision; empty when nothing permitted (default deny).
        missing: Facts whose absence made a policy refuse, such as ``approval``; empty when none is known.
        reason: The decision in one sentence, with the deciding policy's own ``@reason`` where it has one.
        context: What the policies saw, verbatim.
        context_digest: Digest of ``context``.
    """

    decision_id: DecisionId
    project_id: ProjectId
    snapshot_id: SnapshotId
    snapshot_digest: Digest
    subject: str
    action: str
    effect: Effect
    deciding: list[str]
    missing: list[str]
    reason: str
    context: dict[str, Any]
    context_digest: Digest
    decided_at: datetime
