# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run advances in the unit of work in which one of its runs ends; what it does follows from what is stored.

:func:`advance` may be called at any time, any number of times: it looks at where everything is and does what is left
to do. Each run is submitted in the owner's name, with the rights they have at that moment and no more than they had at
the submission. A node that is refused has failed, and says why; it never keeps the run that ended from ending. One
whose owner's rights nobody can tell now goes on waiting, and says that.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.audit import Action
from animus_contracts.identifiers import ArtifactId, PipelineRunId, ProjectId, RunId
from animus_contracts.origins import NodeRef
from animus_contracts.permissions import Permission
from animus_contracts.pipeline_plans import PlannedNode
from animus_contracts.pipeline_runs import (
    OPEN_NODES,
    PIPELINE_ENDS,
    BoundPipeline,
    NodeRun,
    NodeState,
    PipelineRun,
    PipelineState,
)
from animus_contracts.runs import TERMINAL_STATES, CancelRun, CodeRef, Run, RunState, SubmitRun
from animus_control.domain.errors import AnimusError, MissingError
from animus_control.domain.identity import SYSTEM
from animus_control.domain.permissions import RANK
from animus_control.domain.pipelines import by_node, counts, label, next_steps, source_of
from animus_control.services.access import RefusedError
from animus_control.services.acting import on_behalf
from animus_control.services.calls import Call, audited
from animus_control.services.moves import WAITERS
from animus_control.services.ports import UnitOfWork
from animus_control.services.runs import cancel_run
from animus_control.services.scope import require
from animus_control.services.submission import Ties, admit
from animus_control.services.user_groups import UnknownGroupsError

STALLED = 20
"""How many pipeline runs one sweep takes up."""

ENDS = {
    RunState.SUCCEEDED: NodeState.SUCCEEDED,
    RunState.FAILED: NodeState.FAILED,
    RunState.CANCELED: NodeState.CANCELED,
}


def advance(uow: UnitOfWork, call: Call, project_id: ProjectId, pipeline_run_id: PipelineRunId) -> PipelineRun:
    """Do whatever is to be done next in a pipeline run.

    Args:
        uow: The unit of work.
        call: Whoever caused it; only its time, ids and request count.
        project_id: The project.
        pipeline_run_id: Which pipeline run.
    """
    run = require(uow.pipelines.get(project_id, pipeline_run_id), "pipeline run")
    if run.state in PIPELINE_ENDS:
        return run
    return _Advance(uow, call, run).carry_out()


def sweep(uow: UnitOfWork, call: Call) -> int:
    """Advance pipeline runs in which nothing goes on or that waited for the Hub; call it every few seconds."""
    stalled = uow.pipelines.stalled(known_since=call.now - call.limits.groups_known, limit=STALLED)
    for run in stalled:
        advance(uow, call, run.project_id, run.pipeline_run_id)
    return len(stalled)


def store(uow: UnitOfWork, before: PipelineRun, after: PipelineRun, changed: Mapping[int, NodeRun]) -> PipelineRun:
    """Store a pipeline run with those of its nodes that changed, under the next version, and wake who follows it."""
    version = before.version + 1
    uow.pipelines.save_nodes([msgspec.structs.replace(row, version=version) for row in changed.values()])
    stored = msgspec.structs.replace(after, version=version)
    if not uow.pipelines.compare_and_set(stored, expected_version=before.version):
        message = f"pipeline run {before.pipeline_run_id} changed within one unit of work"
        raise RuntimeError(message)  # writers exclude each other
    uow.notify(f"pipeline:{before.pipeline_run_id}")
    return stored


def _follow(uow: UnitOfWork, call: Call, ended: Run, repetition: Run | None) -> None:
    """Go on after a run has ended; an automatic retry takes the place of the run it repeats."""
    ref = ended.pipeline
    if ref is None:
        return
    if repetition is not None:
        _replace(uow, call, ended, repetition)
    # A call on the pipeline run itself stops runs one after the other, and goes on when it is through with them.
    if call.path.get("pipeline") != ref.pipeline_run_id:
        advance(uow, call, ended.project_id, ref.pipeline_run_id)


def _replace(uow: UnitOfWork, call: Call, ended: Run, repetition: Run) -> None:
    ref = require(ended.pipeline, "pipeline run")
    run = require(uow.pipelines.get(ended.project_id, ref.pipeline_run_id), "pipeline run")
    rows = uow.pipelines.nodes(ended.project_id, ref.pipeline_run_id)
    row = next((row for row in rows if row.run_id == ended.run_id and row.state is NodeState.RUNNING), None)
    if row is not None and run.state not in PIPELINE_ENDS:
        followed = msgspec.structs.replace(row, run_id=repetition.run_id, reason="")
        _audit_submitted(uow, call, followed, repetition.run_id)
        store(uow, run, run, {row.place: followed})


WAITERS.append(_follow)


class _Advance:
    """One advance of one pipeline run."""

    def __init__(self, uow: UnitOfWork, call: Call, run: PipelineRun) -> None:
        project = require(uow.projects.get(run.project_id), "project")
        path = {"project": project.project_id, "pipeline": run.pipeline_run_id}
        self.uow, self.before = uow, run
        self.call = replace(call, principal=SYSTEM, project=project, role=None, path=path)
        self.bound: BoundPipeline = uow.pipelines.plan(run.project_id, run.pipeline_run_id)
        self.nodes = {node.name: node for node in self.bound.plan.nodes}
        self.rows = uow.pipelines.nodes(run.project_id, run.pipeline_run_id)
        self.changed: dict[int, NodeRun] = {}

    def carry_out(self) -> PipelineRun:
        """Observe, decide and act until nothing is left to do now."""
        while True:
            self._observe()
            steps = next_steps(self.bound.plan, self.rows, canceling=self.before.state is PipelineState.CANCELING)
            for row, state, reason in steps.dropped:
                self._end(row, state, reason, Action.PIPELINE_NODE_SKIPPED)
            for row in steps.ready:
                self._submit(row)
            ended = [self._stop(row) for row in steps.to_stop]
            if not steps.dropped and not any(ended) and not self._refused(steps.ready):
                return self._store(steps.end, steps.reason)

    def _observe(self) -> None:
        """Take over how runs ended."""
        for row in self.rows:
            if row.state is not NodeState.RUNNING or row.run_id is None:
                continue
            run = require(self.uow.runs.get(row.project_id, row.run_id), "run")
            if run.state in TERMINAL_STATES:
                self._take_over(row, run)

    def _take_over(self, row: NodeRun, run: Run) -> None:
        held = self.uow.held_retries.get(run.project_id, run.run_id)
        if held is None:
            reason = run.failure.summary if run.failure else ""
            ended = msgspec.structs.replace(row, metrics=self.uow.metrics.latest(run.project_id, run.run_id))
            self._end(ended, ENDS[run.state], reason, Action.PIPELINE_NODE_ENDED)
        elif not row.reason:
            self._set(msgspec.structs.replace(row, reason=f"its run failed, and the retry waits: {held.reason}"))

    def _end(self, row: NodeRun, state: NodeState, reason: str, action: Action) -> None:
        self._set(msgspec.structs.replace(row, state=state, reason=reason, ended_at=self.call.now))
        details = {"node": row.node, "item": row.item, "state": state, "run_id": row.run_id, "reason": reason}
        self.uow.audit.append(audited(self.call, action, _resource(row), details=details))

    def _set(self, row: NodeRun) -> None:
        self.rows[row.place] = self.changed[row.place] = row

    def _refused(self, ready: list[NodeRun]) -> bool:
        return any(self.rows[row.place].state not in OPEN_NODES for row in ready)

    def _submit(self, row: NodeRun) -> None:
        try:
            run = self._admitted(row)
        except UnknownGroupsError as error:
            self._hold(row, error.detail)
            return
        except AnimusError as error:
            if isinstance(error, RefusedError):
                error.record(self.uow)  # nothing was changed, so the decision can be stored with the node's end
            self._end(row, NodeState.FAILED, _told(error), Action.PIPELINE_NODE_ENDED)
            return
        started = msgspec.structs.replace(
            row, state=NodeState.RUNNING, run_id=run.run_id, submitted_at=self.call.now, reason=""
        )
        self._set(started)
        _audit_submitted(self.uow, self.call, started, run.run_id)

    def _hold(self, row: NodeRun, reason: str) -> None:
        """Leave a run of a node waiting for the Hub; the sweep comes back to it."""
        if not row.reason:
            self._set(msgspec.structs.replace(row, reason=reason))
            details = {"node": row.node, "item": row.item, "reason": reason}
            self.uow.audit.append(audited(self.call, Action.PIPELINE_NODE_HELD, _resource(row), details=details))

    def _admitted(self, row: NodeRun) -> Run:
        run, node = self.before, self.nodes[row.node]
        project = require(self.call.project, "project")
        person = on_behalf(self.uow, self.call, project, run.created_by, Permission.RUN_SUBMIT)
        person = replace(person, role=min(self.bound.role, require(person.role, "role"), key=RANK.__getitem__))
        binding = self.bound.bindings[node.name]
        message = SubmitRun(
            code=msgspec.structs.replace(run.code, path=notebook_path(run.code, node.notebook)),
            environment_lock_id=binding.environment_lock_id,
            datasets=binding.datasets,
            artifacts=self._artifacts(node),
            parameters=row.parameters,
            outputs=node.outputs,
            resources=binding.resources,
            run_class=run.run_class,
            seed=node.seed,
            limitations=self.bound.limitations,
            labels=run.labels,
            priority=self.bound.priority,
            retries=node.retries,
        )
        place = NodeRef(pipeline_run_id=run.pipeline_run_id, node=row.node, item=row.item)
        return admit(
            self.uow, person, message, Ties(pipeline=place, parameters_schema_digest=binding.parameters_schema_digest)
        )

    def _artifacts(self, node: PlannedNode) -> dict[str, ArtifactId]:
        """Find the artifacts a node uses; they are bound by digest when its run is admitted."""
        found, rows = {}, by_node(self.rows)
        for name, source in node.inputs.items():
            row = source_of(source, rows)
            if isinstance(row, str):
                raise MissingError("artifact_not_found", f"{name}: {row}")
            key: dict[str, Any] = {"run_id": row.run_id, "name": source.artifact}
            known = self.uow.artifacts
            artifact = known.find(row.project_id, **key, kind=ArtifactKind.OUTPUT) or known.find(row.project_id, **key)
            words = f"{name}: {label(row)} has no artifact {source.artifact!r}"
            if artifact is None:
                raise MissingError("artifact_not_found", words)
            found[name] = artifact.artifact_id
        return found

    def _stop(self, row: NodeRun) -> bool:
        """Ask for a run to be stopped; returns whether it has ended at once."""
        call = replace(self.call, path={**self.call.path, "run": row.run_id or ""})
        return cancel_run(self.uow, call, CancelRun(reason="the pipeline run stops")).state in TERMINAL_STATES

    def _store(self, end: PipelineState | None, reason: str) -> PipelineRun:
        if not self.changed and end is None:
            return self.before
        after = msgspec.structs.replace(self.before, counts=counts(self.rows))
        if end is not None:
            reason = self.before.reason if end is PipelineState.CANCELED and self.before.reason else reason
            after = msgspec.structs.replace(after, state=end, reason=reason, finished_at=self.call.now)
            resource = f"pipeline_run:{after.pipeline_run_id}"
            details = {"state": end, "reason": reason, "counts": after.counts}
            self.uow.audit.append(audited(self.call, Action.PIPELINE_ENDED, resource, details=details))
            payload = {"project_id": after.project_id, "pipeline_run_id": after.pipeline_run_id, "state": end}
            self.uow.outbox.add("pipeline.finished", after.pipeline_run_id, payload, self.call.now)
        return store(self.uow, self.before, after, self.changed)


def notebook_path(code: CodeRef, notebook: str) -> str:
    """Return a notebook's path in the repository, given the pipeline file's."""
    return posixpath.join(posixpath.dirname(code.path), notebook)


def _audit_submitted(uow: UnitOfWork, call: Call, row: NodeRun, run_id: RunId) -> None:
    details = {"node": row.node, "item": row.item, "run_id": run_id}
    record = audited(call, Action.PIPELINE_NODE_SUBMITTED, _resource(row), project_id=row.project_id, details=details)
    uow.audit.append(record)


def _resource(row: NodeRun) -> str:
    return f"pipeline_run:{row.pipeline_run_id}"


def _told(error: AnimusError) -> str:
    return f"refused ({error.code}): {error.detail or error}"
