# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run in a notebook: its picture, coloured as it goes on, and its tables; it only ever looks.

One daemon thread follows the pipeline run and paints; it ends with it. The view holds no token.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import ipywidgets  # type: ignore[import-untyped]  # it has no types

from animus.client import Client
from animus.errors import AnimusError
from animus.pipeline_pictures import svg
from animus.pipeline_tables import headline, html_table, tables
from animus_contracts.pipeline_runs import (
    PIPELINE_ENDS,
    GraphNode,
    NodeRun,
    PipelineChange,
    PipelineGraph,
    PipelineRun,
    state_of_node,
)


class PipelineView(ipywidgets.VBox):  # type: ignore[misc]  # ipywidgets has no types
    """Shows one pipeline run while it happens.

    Args:
        client: Where to follow it.
        run: The pipeline run.
        notes: What the user should know about what was submitted.
        release: Called when the view needs the client no more.
    """

    def __init__(
        self, client: Client, run: PipelineRun, notes: Sequence[str] = (), *, release: Callable[[], object] = bool
    ) -> None:
        self._client, self._run, self._release = client, run, release
        self._nodes: dict[int, NodeRun] = {}
        self._graph = client.pipelines.graph(run.pipeline_run_id)
        self._over = threading.Event()
        self._parts = {name: ipywidgets.HTML() for name in ("notes", "head", "picture", "tables", "trouble")}
        self._parts["notes"].value = "<br>".join(f"<i>{escape(note)}</i>" for note in notes)
        self._cancel = ipywidgets.Button(description="Cancel", layout={"width": "80px"})
        self._cancel.on_click(self._stop)
        super().__init__([*self._parts.values(), self._cancel])
        self.add_class("animus-pipeline-run")
        self._paint()

    def __repr__(self) -> str:
        return f"pipeline run {self._run.pipeline_run_id} of {self._run.name}: {self._run.state}"

    @property
    def run(self) -> PipelineRun:
        """The pipeline run as far as it is known here."""
        return self._run

    def start(self) -> PipelineView:
        """Begin to follow, in the background."""
        threading.Thread(target=self._follow, name="animus-follow-pipeline", daemon=True).start()
        return self

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until the pipeline run has ended and the view shows it; False when the time is over before."""
        return self._over.wait(seconds)

    def _follow(self) -> None:
        try:
            for change in self._client.pipelines.changes(self._run.pipeline_run_id):
                self._fold(change)
                self._paint()
        except AnimusError as error:
            self._say(f"animus: {error}")
        finally:
            self._release()
            self._over.set()

    def _fold(self, change: PipelineChange) -> None:
        self._run = change.pipeline_run
        self._nodes |= {row.place: row for row in change.nodes}
        self._graph = painted(self._graph, self._run, [self._nodes[place] for place in sorted(self._nodes)])

    def _paint(self) -> None:
        self._parts["head"].value = f"<b>{escape(headline(self._run))}</b>"
        self._parts["picture"].value = f"<div style='overflow:auto;background:#fff'>{svg(self._graph)}</div>"
        shown = tables([self._nodes[place] for place in sorted(self._nodes)]) if self._nodes else []
        self._parts["tables"].value = "".join(html_table(*table) for table in shown)
        self._cancel.layout.display = "none" if self._run.state in PIPELINE_ENDS else None

    def _stop(self, _button: Any) -> None:
        self._cancel.disabled = True
        try:
            self._client.pipelines.cancel(self._run.pipeline_run_id, reason="asked for in the notebook")
        except AnimusError as error:
            self._say(f"animus: {error}")

    def _say(self, trouble: str) -> None:
        self._parts["trouble"].value = f"<span style='color:#c62828'>{escape(trouble)}</span>"


def painted(graph: PipelineGraph, run: PipelineRun, rows: Sequence[NodeRun]) -> PipelineGraph:
    """Return a graph with the states that the runs of its nodes have now."""
    of: dict[str, list[NodeRun]] = {}
    for row in rows:
        of.setdefault(row.node, []).append(row)
    nodes = [_painted(node, of.get(node.name, [])) for node in graph.nodes]
    return PipelineGraph(
        pipeline_run_id=graph.pipeline_run_id,
        name=graph.name,
        state=run.state,
        version=run.version,
        nodes=nodes,
        edges=graph.edges,
        offset=graph.offset,
        total=graph.total,
    )


def _painted(node: GraphNode, rows: Sequence[NodeRun]) -> GraphNode:
    if not rows:
        return node
    states = [row.state for row in rows]
    return GraphNode(
        name=node.name,
        notebook=node.notebook,
        state=state_of_node(states),
        counts={state: states.count(state) for state in dict.fromkeys(states)},
        run_ids=[row.run_id for row in rows if row.run_id],
        reason=next((row.reason for row in rows if row.reason), ""),
    )
