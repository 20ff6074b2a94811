# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two runs are compared: what is known of them at once, what they produced by the data plane, where the bytes are.

The comparison that verifies a replay exists from the replay's submission on, and begins in the unit of work in which
the replay ends; when the replay is retried, it waits for the retry, also for one that is held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.artifacts import Artifact, ArtifactEntry, ArtifactKind
from animus_contracts.audit import Action
from animus_contracts.comparisons import (
    ComparedFile,
    ComparedRun,
    CompareRuns,
    Comparison,
    ComparisonRequest,
    CreateComparison,
    OutputComparison,
    RunFacts,
    Tolerances,
)
from animus_contracts.digests import Digest
from animus_contracts.executions import Provenance
from animus_contracts.identifiers import ComparisonId, ProjectId, RunId
from animus_contracts.input_differences import input_differences
from animus_contracts.pages import MAX_LIMIT, ComparisonListQuery, Page
from animus_contracts.problems import Fault
from animus_contracts.runs import TERMINAL_STATES, Run
from animus_contracts.tasks import Task, TaskFailed
from animus_control.domain.comparisons import (
    incomparable,
    metrics_side_by_side,
    obstacle,
    timings,
    tolerance_faults,
)
from animus_control.domain.errors import ConflictError
from animus_control.domain.names import refuse
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.moves import WAITERS
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id, project_of, require
from animus_control.services.tasks import KINDS, Kind, request_task

T = TypeVar("T")

COMPARED_EVENT = "run.compared"
COMPARED = frozenset({ArtifactKind.NOTEBOOK, ArtifactKind.OUTPUT, ArtifactKind.LOGGED})
"""Artifacts that equal runs have in common; logs and provenance tell of one run alone."""


@operation("comparisons.create")
def create_comparison(uow: UnitOfWork, call: Call, message: CreateComparison) -> Comparison:
    """Compare two runs that have ended."""
    same = [Fault(path="$.right", code="same_run", message="must be another run than the left one")]
    refuse([*(same if message.left == message.right else []), *tolerance_faults(message.tolerances)])
    project_id = project_of(call).project_id
    for run_id in (message.left, message.right):
        run = require(uow.runs.get(project_id, run_id), "run")
        if run.state not in TERMINAL_STATES:
            detail = f"The run {run_id} is {run.state}; only runs that have ended can be compared."
            raise ConflictError("invalid_transition", detail, remedy="Wait for its end.")
    comparison = _added(uow, call, message.left, message.right, message.tolerances)
    return _begun(uow, call, comparison)


@operation("comparisons.read")
def read_comparison(uow: UnitOfWork, call: Call, message: None) -> Comparison:  # noqa: ARG001 - every operation has a message
    """Return a comparison."""
    return by_id(call, uow.comparisons, "comparison", "comparison")


@operation("comparisons.list")
def list_comparisons(uow: UnitOfWork, call: Call, message: ComparisonListQuery) -> Page[Comparison]:
    """List comparisons."""
    sides = {"left_run_id": message.left, "right_run_id": message.right}
    return paged(uow.comparisons.page, message, project_of(call).project_id, **sides)


def verify_replay(uow: UnitOfWork, call: Call, replay: Run, original: RunId, tolerances: Tolerances) -> Comparison:
    """Compare a replay with its original as soon as it has ended."""
    return _added(uow, call, original, replay.run_id, tolerances, verifies=replay.run_id)


def of_run(uow: UnitOfWork, project_id: ProjectId, run_id: RunId) -> list[Comparison]:
    """Return the newest comparisons that a run has a part in."""
    sides = ("left_run_id", "right_run_id")
    pages = [uow.comparisons.page(project_id, limit=MAX_LIMIT, cursor=None, **{side: run_id}) for side in sides]
    return sorted((each for page in pages for each in page.items), key=lambda each: each.comparison_id)


def provenance_of(uow: UnitOfWork, run_id: RunId) -> Provenance | None:
    """Return what the newest attempt that told so ran with."""
    found = (uow.executions.provenance(each.execution_id) for each in reversed(uow.executions.of_run(run_id)))
    return next((provenance for provenance in found if provenance is not None), None)


def _added(
    uow: UnitOfWork, call: Call, left: RunId, right: RunId, tolerances: Tolerances, verifies: RunId | None = None
) -> Comparison:
    comparison = Comparison(
        comparison_id=ComparisonId(call.new_id()),
        project_id=project_of(call).project_id,
        tolerances=tolerances,
        created_at=call.now,
        created_by=call.principal.subject,
        verifies=verifies,
        left_run_id=left,
        right_run_id=right,
    )
    uow.comparisons.add(comparison)
    _audit(uow, call, Action.COMPARISON_CREATED, comparison, {"verifies": verifies})
    return comparison


def _begun(uow: UnitOfWork, call: Call, comparison: Comparison) -> Comparison:
    """Fill in what is known of two runs that have ended, and ask for the rest."""
    left, right = (
        _facts(uow, comparison.project_id, run_id) for run_id in (comparison.left_run_id, comparison.right_run_id)
    )
    known = msgspec.structs.replace(
        comparison,
        inputs=input_differences(left, right),
        metrics=metrics_side_by_side(_metrics(uow, left.run), _metrics(uow, right.run)),
        timings=timings(left.run, right.run),
    )
    obstacles = [why for run in (left.run, right.run) if (why := obstacle(run))]
    if obstacles:
        return _ended(uow, call, known, incomparable(obstacles, known.tolerances))
    uow.comparisons.save(known)
    request_task(uow, call, known.project_id, CompareRuns(comparison_id=known.comparison_id))
    return known


def _ended(uow: UnitOfWork, call: Call, comparison: Comparison, result: OutputComparison | TaskFailed) -> Comparison:
    changes: dict[str, Any] = (
        {"state": AnswerState.FAILED, "failure": result.reason}
        if isinstance(result, TaskFailed)
        else {"state": AnswerState.ANSWERED, "outputs": result}
    )
    ended = msgspec.structs.replace(comparison, ended_at=call.now, **changes)
    uow.comparisons.save(ended)
    verdict = ended.outputs.verdict if ended.outputs else None
    told = {"comparison_id": ended.comparison_id, "verdict": verdict, "failure": ended.failure}
    _audit(uow, call, Action.COMPARISON_ENDED, ended, told)
    if ended.verifies is not None:
        uow.events.add(ended.project_id, ended.verifies, COMPARED_EVENT, call.now, told)
        uow.notify(f"run:{ended.verifies}")
    return ended


def _settle(uow: UnitOfWork, call: Call, task: Task, result: OutputComparison | TaskFailed) -> None:
    _ended(uow, call, _of_task(uow, task), result)


def _compared(uow: UnitOfWork, task: Task) -> ComparisonRequest:
    comparison = _of_task(uow, task)
    left, right = (
        _contents(uow, comparison.project_id, run_id) for run_id in (comparison.left_run_id, comparison.right_run_id)
    )
    return ComparisonRequest(left=left, right=right, tolerances=comparison.tolerances)


def _size(uow: UnitOfWork, task: Task, digest: Digest) -> int | None:
    comparison = _of_task(uow, task)
    for run_id in (comparison.left_run_id, comparison.right_run_id):
        artifact = uow.artifacts.find(task.project_id, run_id=run_id, digest=digest)
        if artifact is not None:
            return artifact.size_bytes
    return None


def _of_task(uow: UnitOfWork, task: Task) -> Comparison:
    found = uow.comparisons.get(task.project_id, task.request.comparison_id)  # type: ignore[union-attr]  # its own kind
    return require(found, "comparison")


def _facts(uow: UnitOfWork, project_id: ProjectId, run_id: RunId) -> RunFacts:
    run = require(uow.runs.get(project_id, run_id), "run")
    return RunFacts(run=run, provenance=provenance_of(uow, run_id))


def _contents(uow: UnitOfWork, project_id: ProjectId, run_id: RunId) -> ComparedRun:
    made: Iterator[Artifact] = _every(uow.artifacts.page, project_id, run_id=run_id)
    files = [ComparedFile(entry=_entry(artifact), path=None) for artifact in made if artifact.kind in COMPARED]
    return ComparedRun(facts=_facts(uow, project_id, run_id), artifacts=files)


def _entry(artifact: Artifact) -> ArtifactEntry:
    return ArtifactEntry(**{name: getattr(artifact, name) for name in ArtifactEntry.__struct_fields__})


def _metrics(uow: UnitOfWork, run: Run) -> Iterator[Any]:
    return _every(uow.metrics.page, run.project_id, run.run_id)


def _every(fetch: Callable[..., Page[T]], *scope: str, **fields: str) -> Iterator[T]:
    cursor: str | None = None
    while True:
        page = fetch(*scope, limit=MAX_LIMIT, cursor=cursor, **fields)
        yield from page.items
        cursor = page.next_cursor
        if cursor is None:
            return


def _when_ended(uow: UnitOfWork, call: Call, ended: Run, repeat: Run | None) -> None:
    """Begin to verify a replay that ended; when it is retried, wait for the retry instead."""
    if ended.origin is None:
        return
    pending = AnswerState.PENDING.value
    comparison = uow.comparisons.find(ended.project_id, right_run_id=ended.run_id, state=pending)
    if comparison is None:
        return
    if repeat is not None:
        uow.comparisons.save(msgspec.structs.replace(comparison, right_run_id=repeat.run_id))
    elif uow.held_retries.get(ended.project_id, ended.run_id) is None:
        _begun(uow, call, comparison)


def _audit(uow: UnitOfWork, call: Call, action: Action, comparison: Comparison, details: dict[str, Any]) -> None:
    runs = {"left": comparison.left_run_id, "right": comparison.right_run_id}
    resource = f"comparison:{comparison.comparison_id}"
    uow.audit.append(audited(call, action, resource, project_id=comparison.project_id, details=runs | details))


KINDS[CompareRuns] = Kind(answer=OutputComparison, settle=_settle, compared=_compared, size=_size)
WAITERS.append(_when_ended)
