# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An approval changes once, from pending to what was decided, by compare-and-set on its version."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, update

from animus_contracts.approvals import Approval
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.rule_tables import PENDING, approvals
from animus_control.storage.session import Session

CHANGING = ("state", "version", "decided_by", "decided_at", "comment", "final_decision_id")
LAYOUT = Layout[Approval](approvals, changing=CHANGING)
_EXPIRED = Prepared(
    LAYOUT.select()
    .where(PENDING, approvals.c.expires_at <= bindparam("now"))
    .order_by(approvals.c.expires_at)
    .limit(bindparam("count"))
)
_DECIDE = Prepared(
    update(approvals)
    .where(
        approvals.c.project_id == bindparam("project"),
        approvals.c.approval_id == bindparam("id"),
        approvals.c.version == bindparam("expected_version"),
        PENDING,
    )
    .values({name: bindparam(f"new_{name}") for name in CHANGING})
)


class ApprovalTable(RecordTable[Approval]):
    """Approvals."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, LAYOUT)

    def compare_and_set(self, approval: Approval, *, expected_version: int) -> bool:
        """Store what was decided if the stored approval is pending and has the expected version."""
        key = {"project": approval.project_id, "id": approval.approval_id, "expected_version": expected_version}
        return self._session.change(_DECIDE, LAYOUT.changes(approval) | key) == 1

    def expired(self, now: datetime, *, limit: int) -> list[Approval]:
        """Return pending approvals whose time is over, the oldest first."""
        return [LAYOUT.read(row) for row in self._session.all(_EXPIRED, {"now": now, "count": limit})]
