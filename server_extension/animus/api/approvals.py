# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: the runs that wait for another person, and that person's word."""

from __future__ import annotations

from collections.abc import Iterator

from animus.api import Group, pages
from animus.errors import RefusedError
from animus_contracts.approvals import Approval, ApprovalState, ApprovalVerdict, DecideApproval, ProjectApproval
from animus_contracts.pages import ApprovalListQuery, InboxQuery


class Approvals(Group):
    """The project's approvals."""

    def list(self, *, state: ApprovalState | None = None, run: str | None = None) -> Iterator[Approval]:
        """Yield approvals, newest first."""
        yield from self._pages("approvals.list", ApprovalListQuery(state=state, run_id=run))

    def everywhere(self, *, state: ApprovalState | None = None) -> Iterator[ProjectApproval]:
        """Yield approvals, newest first, of all projects in which the caller may decide; no project needs be chosen."""
        yield from pages(self._transport, "approvals.inbox", InboxQuery(state=state))

    def read(self, approval: str) -> Approval:
        """Return an approval."""
        found: Approval = self._call("approvals.read", approval=approval)
        return found

    def of_run(self, run: str) -> Approval:
        """Return the approval that a run waits or waited for.

        Raises:
            RefusedError: If the run never needed one.
        """
        for approval in self.list(run=run):
            return approval
        raise RefusedError("not_found", f"run {run!r} waits for no approval", remedy="animus approvals")

    def approve(self, approval: Approval, *, comment: str = "") -> Approval:
        """Approve a run; the policies are asked again, and it is queued if they agree."""
        return self._decide(approval, ApprovalVerdict.APPROVE, comment)

    def refuse(self, approval: Approval, *, comment: str) -> Approval:
        """Refuse a run, saying why; it is canceled."""
        return self._decide(approval, ApprovalVerdict.REFUSE, comment)

    def _decide(self, approval: Approval, verdict: ApprovalVerdict, comment: str) -> Approval:
        body = DecideApproval(verdict=verdict, comment=comment)
        decided: Approval = self._call("approvals.decide", body, approval=approval.approval_id)
        return decided
