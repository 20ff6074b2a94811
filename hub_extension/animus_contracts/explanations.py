# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The complete story of a run, in one answer."""

from __future__ import annotations

import msgspec

from animus_contracts.approvals import Approval
from animus_contracts.artifacts import Artifact, Metric
from animus_contracts.audit import AuditEvent
from animus_contracts.comparisons import Comparison
from animus_contracts.environments import EnvironmentLock
from animus_contracts.executions import Execution, Provenance
from animus_contracts.lineage import LineageEdge
from animus_contracts.policies import PolicyDecision, PolicySnapshot
from animus_contracts.queues import Waiting
from animus_contracts.runs import Run


class Explanation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What was run, on what, by whom, under which rules, and what came out.

    ``audit`` holds the events that name the run, oldest first. ``repetitions`` are the newest runs that repeat it, and
    ``comparisons`` the newest ones in which it has a part. ``waiting`` tells why a run that has not started waits.
    """

    run: Run
    decision: PolicyDecision
    snapshot: PolicySnapshot
    lock: EnvironmentLock
    executions: list[Execution]
    provenance: Provenance | None
    artifacts: list[Artifact]
    metrics: list[Metric]
    lineage: list[LineageEdge]
    audit: list[AuditEvent]
    approval: Approval | None = None
    repetitions: list[Run] = []
    comparisons: list[Comparison] = []
    waiting: Waiting | None = None
