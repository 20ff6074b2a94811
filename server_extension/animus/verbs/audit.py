# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log: read it, and check on this side that nobody rewrote it."""

from __future__ import annotations

from argparse import Namespace
from itertools import islice

from animus.verbs import Desk, Done
from animus_contracts.audit import AuditEvent


def show(desk: Desk, given: Namespace) -> list[AuditEvent]:
    """List a project's events, oldest first."""
    events = desk.client().audit.list(
        actor=given.actor or None, action=given.action or None, resource=given.resource or None
    )
    return list(islice(events, given.limit))


def verify(desk: Desk, _given: Namespace) -> Done:
    """Check the whole log's chain."""
    count, head = desk.client().audit.verify()
    return Done(message=f"the chain of {count} events holds together; its head is {head}")
