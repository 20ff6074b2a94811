# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Approvals: what waits for another person, and that person's word."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice

from animus.verbs import Desk
from animus_contracts.approvals import Approval, ApprovalState, ProjectApproval


def show_all(desk: Desk, given: Namespace) -> list[Approval] | list[ProjectApproval]:
    """List what waits for an approval, newest first; without a project, in all of them where you may decide."""
    state, client = None if given.all else ApprovalState(given.state), desk.client()
    if given.everywhere or not client.project:
        return list(islice(client.approvals.everywhere(state=state), given.limit))
    return list(islice(client.approvals.list(state=state), given.limit))


def approve(desk: Desk, given: Namespace) -> Approval:
    """Approve another person's run."""
    approvals = desk.client().approvals
    return approvals.approve(approvals.of_run(given.run), comment=given.comment)


def refuse(desk: Desk, given: Namespace) -> Approval:
    """Refuse another person's run, saying why."""
    approvals = desk.client().approvals
    return approvals.refuse(approvals.of_run(given.run), comment=given.comment)
