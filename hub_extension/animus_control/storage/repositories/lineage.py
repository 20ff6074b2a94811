# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Edges are found from either end."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam

from animus_contracts.identifiers import ProjectId
from animus_contracts.lineage import LineageEdge
from animus_control.storage.repositories.records import Layout
from animus_control.storage.session import Session
from animus_control.storage.tables import lineage_edges as table

LAYOUT = Layout[LineageEdge](table)
# One query per end: with OR neither index would serve.
_FROM, _TO = (
    LAYOUT.select()
    .where(table.c.project_id == bindparam("project"), end.in_(bindparam("nodes", expanding=True)))
    .order_by(table.c.edge_id)
    .limit(bindparam("count"))
    for end in (table.c.subject, table.c.object)
)


class LineageTable:
    """Lineage edges."""

    __slots__ = ("_session",)

    def __init__(self, session: Session) -> None:
        self._session = session

    def add(self, edges: Sequence[LineageEdge]) -> None:
        """Store new edges."""
        self._session.add_many(LAYOUT.insert, [LAYOUT.row(edge) for edge in edges])

    def touching(self, project_id: ProjectId, nodes: Sequence[str], *, limit: int) -> list[LineageEdge]:
        """Return at most ``limit`` edges that have one of the nodes at either end, oldest first."""
        values = {"project": project_id, "nodes": list(nodes), "count": limit}
        rows = [row for statement in (_FROM, _TO) for row in self._session.search(statement, values)]
        found = {row.edge_id: LAYOUT.read(row) for row in rows}
        return [found[edge_id] for edge_id in sorted(found)][:limit]
