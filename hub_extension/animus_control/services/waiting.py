# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Why a run waits is asked of the same facts by which the queue decides, and nothing is stored of the answer."""

from __future__ import annotations

import msgspec

from animus_contracts.queues import Waiting, WaitingReason
from animus_contracts.runs import Run, RunState
from animus_control.domain.queue import demand_of, shape_of, start_estimate
from animus_control.domain.waiting import explain
from animus_control.services.calls import Call
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id

RECENT_RUNS = 20
QUEUED = frozenset({WaitingReason.IN_QUEUE, WaitingReason.NO_CAPACITY, WaitingReason.NO_EXECUTOR,
                    WaitingReason.QUOTA_EXCEEDED})  # fmt: skip
MOVING = frozenset({WaitingReason.IN_QUEUE, WaitingReason.NO_CAPACITY})


@operation("runs.waiting")
def read_waiting(uow: UnitOfWork, call: Call, message: None) -> Waiting:  # noqa: ARG001 - every operation has a message
    """Tell why a run waits."""
    return waiting_of(uow, call, by_id(call, uow.runs, "run", "run"))


def waiting_of(uow: UnitOfWork, call: Call, run: Run) -> Waiting:
    """Tell why a run waits, where it is in the queue, and about how long it will."""
    platform = uow.queue.platform(run)
    reason, detail = explain(
        run,
        demand=demand_of(shape_of(run)),
        platform=platform,
        standing=uow.quotas.standing(run.project_id, call.now),
        executors=uow.executors.seen_since(call.now - call.limits.executor_seen),
        now=call.now,
    )
    since = run.queued_at if run.state is RunState.QUEUED else run.created_at
    waiting = Waiting(run_id=run.run_id, reason=reason, detail=detail)
    if reason is WaitingReason.NOT_WAITING:
        return waiting
    waiting = msgspec.structs.replace(waiting, since=since)
    return _placed(uow, run, platform, waiting) if reason in QUEUED else waiting


def _placed(uow: UnitOfWork, run: Run, platform: str, waiting: Waiting) -> Waiting:
    before = uow.queue.ahead(run, platform)
    lengths = uow.queue.lengths(platform)
    others = sum(min(length, before) for project, length in lengths.items() if project != run.project_id)
    detail = waiting.detail
    if waiting.reason is WaitingReason.IN_QUEUE:
        detail = f"{before} runs of the project go first." if before else "It is the next run of its project."
    estimate = None
    if waiting.reason in MOVING:
        estimate = start_estimate(before + others, uow.queue.running(platform), _durations(uow, run))
    return msgspec.structs.replace(
        waiting, detail=detail, position=before + 1, ahead=before + others, estimate_seconds=estimate
    )


def _durations(uow: UnitOfWork, run: Run) -> list[float]:
    recent = uow.runs.page(run.project_id, limit=RECENT_RUNS, cursor=None, state=RunState.SUCCEEDED).items
    return [(it.finished_at - it.started_at).total_seconds() for it in recent if it.finished_at and it.started_at]
