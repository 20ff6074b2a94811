# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An approval is asked for by a run that the policies would allow if another person agreed; it is decided once."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.identifiers import ApprovalId, DecisionId, ProjectId, RunId


class ApprovalState(StrEnum):
    """What became of an approval; all but ``pending`` are final."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


class ApprovalVerdict(StrEnum):
    """What another person says."""

    APPROVE = "approve"
    REFUSE = "refuse"


class Approval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A run that waits for another person.

    Attributes:
        decision_id: The decision that wants an approval.
        reason: What the policies say about it, in one sentence.
        requested_by: Who submitted the run, and so may not decide.
        expires_at: When the run is canceled if nobody has decided.
        version: Counts the changes.
        decided_by: Who approved, refused or withdrew it; the system when it expired.
        comment: What they said.
        final_decision_id: The decision that let the run go on, with the approval among its facts.
    """

    approval_id: ApprovalId
    project_id: ProjectId
    run_id: RunId
    decision_id: DecisionId
    reason: str
    requested_by: str
    requested_at: datetime
    expires_at: datetime
    state: ApprovalState = ApprovalState.PENDING
    version: int = 1
    decided_by: str | None = None
    decided_at: datetime | None = None
    comment: str = ""
    final_decision_id: DecisionId | None = None


class ProjectApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An approval among those of other projects, with the name of its own."""

    project: str
    approval: Approval


class DecideApproval(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Approve a run, or refuse it; a refusal says why."""

    verdict: ApprovalVerdict
    comment: str = ""
