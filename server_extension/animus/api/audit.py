# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The audit log and lineage: what happened, and what came from what."""

from __future__ import annotations

from collections.abc import Iterator

from animus.api import Group, pages
from animus.errors import AnimusError
from animus_contracts.audit import GENESIS, AuditEvent, ChainFault, first_fault
from animus_contracts.lineage import LineageGraph
from animus_contracts.pages import AuditListQuery, LineageQuery, ListQuery


class Audit(Group):
    """The audit log."""

    def list(
        self, *, actor: str | None = None, action: str | None = None, resource: str | None = None
    ) -> Iterator[AuditEvent]:
        """Yield the project's events, oldest first."""
        yield from self._pages("audit_events.list", AuditListQuery(actor=actor, action=action, resource=resource))

    def verify(self) -> tuple[int, str]:
        """Check the whole log's chain, on this side, from the first event to the last.

        Returns:
            How many events there are, and the hash of the last one.

        Raises:
            AnimusError: ``audit_chain_broken`` with the first fault.
        """
        sequence, head = 0, GENESIS
        for event in pages(self._transport, "audit_chain.read", ListQuery()):
            fault: ChainFault | None = first_fault([event], sequence=sequence, head=head)
            if fault:
                message = f"event {fault.sequence} {fault.fault}"
                raise AnimusError("audit_chain_broken", message, remedy="keep the log as it is and call security")
            sequence, head = event.sequence, event.hash
        return sequence, head


class Lineage(Group):
    """What came from what."""

    def around(self, root: str, *, depth: int = 3) -> LineageGraph:
        """Return the graph around an entity (``run:ID``, ``dataset_version:ID``)."""
        graph: LineageGraph = self._call("lineage.read", query=LineageQuery(root=root, depth=depth))
        return graph
