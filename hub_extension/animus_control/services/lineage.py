# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The graph around an entity is walked step by step within the project, and says when a limit cut it."""

from __future__ import annotations

import re

from animus_contracts.lineage import LineageEdge, LineageGraph
from animus_contracts.pages import LineageQuery
from animus_control.domain.errors import InvalidError
from animus_control.services.calls import Call
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of

NODE = re.compile(r"[a-z_]{1,32}:[A-Za-z0-9-]{1,64}")


@operation("lineage.read")
def read_lineage(uow: UnitOfWork, call: Call, message: LineageQuery) -> LineageGraph:
    """Return the edges within ``depth`` steps of the root, in both directions."""
    if not NODE.fullmatch(message.root):
        raise InvalidError("invalid_query", "root must be type:id, such as run:0198…")
    most = call.limits.lineage_edges
    edges: dict[str, LineageEdge] = {}
    seen, frontier = {message.root}, [message.root]
    truncated = False
    for _ in range(message.depth):
        found = uow.lineage.touching(project_of(call).project_id, frontier, limit=most + 1) if frontier else []
        edges |= {edge.edge_id: edge for edge in found}
        ends = {end for edge in found for end in (edge.subject, edge.object)}
        frontier = sorted(ends - seen)
        seen |= ends
        truncated = len(edges) > most
        if truncated:
            break
    kept = sorted(edges.values(), key=lambda edge: edge.edge_id)[:most]
    return LineageGraph(root=message.root, depth=message.depth, edges=kept, truncated=truncated)
