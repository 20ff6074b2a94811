# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An approval changes once, from pending to what was decided, by compare-and-set on its version."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import bindparam, update

from animus_contracts.approvals import Approval, ApprovalState
from animus_contracts.identifiers import ProjectId
from animus_contracts.pages import Page
from animus_control.storage.cursors import decode_text, page_of
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

    def inbox(
        self, *, limit: int, cursor: str | None, only: Sequence[ProjectId] | None, state: ApprovalState | None
    ) -> Page[Approval]:
        """Return a page, newest first, of the approvals of these projects, or of all.

        Raises:
            ValueError: On a bad cursor.
        """
        statement = LAYOUT.select().order_by(approvals.c.approval_id.desc()).limit(limit + 1)
        if only is not None:
            statement = statement.where(approvals.c.project_id.in_(only))
        if state is not None:
            statement = statement.where(approvals.c.state == state)
        if cursor is not None:
            statement = statement.where(approvals.c.approval_id < decode_text(cursor))
        found = [LAYOUT.read(row) for row in self._session.search(statement)]
        return page_of(found, [approval.approval_id for approval in found], limit)

    def expired(self, now: datetime, *, limit: int) -> list[Approval]:
        """Return pending approvals whose time is over, the oldest first."""
        return [LAYOUT.read(row) for row in self._session.all(_EXPIRED, {"now": now, "count": limit})]
