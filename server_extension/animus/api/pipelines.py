# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Pipeline runs: submit, follow, stop, repair, and read their graphs and results; what is followed are versions."""

from __future__ import annotations

from collections.abc import Iterator

from animus.api import Group
from animus.following import follow, messages
from animus_contracts.decoding import decode_json
from animus_contracts.pages import EventsQuery
from animus_contracts.pipeline_runs import (
    PIPELINE_ENDS,
    CancelPipeline,
    GraphQuery,
    NodeListQuery,
    NodeRun,
    PipelineChange,
    PipelineGraph,
    PipelineListQuery,
    PipelineRun,
    PipelineState,
    SubmitPipeline,
)


class Pipelines(Group):
    """The project's pipeline runs."""

    def submit(self, submission: SubmitPipeline, *, key: str = "") -> PipelineRun:
        """Submit a pipeline; with the same key a repetition returns the pipeline run that exists."""
        run: PipelineRun = self._call("pipelines.submit", submission, key=key)
        return run

    def list(self, *, name: str | None = None, state: PipelineState | None = None) -> Iterator[PipelineRun]:
        """Yield pipeline runs, newest first."""
        yield from self._pages("pipelines.list", PipelineListQuery(name=name, state=state))

    def read(self, pipeline: str) -> PipelineRun:
        """Return a pipeline run."""
        found: PipelineRun = self._call("pipelines.read", pipeline=pipeline)
        return found

    def nodes(self, pipeline: str, node: str | None = None) -> Iterator[NodeRun]:
        """Yield the runs of nodes in the order of the plan, of one node or all."""
        yield from self._pages("pipelines.nodes", NodeListQuery(node=node), pipeline=pipeline)

    def graph(self, pipeline: str) -> PipelineGraph:
        """Return a pipeline run as a graph, all of it."""
        graph: PipelineGraph = self._call("pipelines.graph", query=GraphQuery(), pipeline=pipeline)
        return graph

    def cancel(self, pipeline: str, *, reason: str = "") -> PipelineRun:
        """Stop a pipeline run with everything in it."""
        stopped: PipelineRun = self._call("pipelines.cancel", CancelPipeline(reason=reason), pipeline=pipeline)
        return stopped

    def repair(self, pipeline: str) -> PipelineRun:
        """Run what failed or was skipped again, in a new pipeline run that reuses the rest."""
        repaired: PipelineRun = self._call("pipelines.repair", pipeline=pipeline)
        return repaired

    def changes(self, pipeline: str, *, after: int = 0) -> Iterator[PipelineChange]:
        """Yield what changes in a pipeline run, from the beginning (or after a version) to its end, as it happens.

        Raises:
            UnreachableError: If the control plane stays silent for five minutes.
        """

        def is_over(known: int) -> bool:
            found = self.read(pipeline)
            return found.state in PIPELINE_ENDS and found.version <= known

        yield from follow(
            lambda known: self._stream(pipeline, known),
            after=after,
            is_last=lambda change: change.pipeline_run.state in PIPELINE_ENDS,
            is_over=is_over,
        )

    def wait(self, pipeline: str) -> PipelineRun:
        """Wait until a pipeline run has ended and return it."""
        for _ in self.changes(pipeline):
            pass
        return self.read(pipeline)

    def _stream(self, pipeline: str, after: int) -> Iterator[PipelineChange]:
        path = {"project": self.project, "pipeline": pipeline}
        with self._transport.stream("pipelines.events", path, query=EventsQuery(after=after)) as reply:
            for data in messages(reply.iter_lines()):
                yield decode_json(data, PipelineChange)
