# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that repeats another is submitted from what the other one was bound to, and says which one it repeats.

The platform repeats by itself only what the platform broke, at most as often as the submission allowed, after a time
that doubles. Nothing here is random: what spreads the retries of many runs is taken from their ids.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from animus_contracts.digests import digest_bytes
from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.origins import Origin, Relation
from animus_contracts.runs import FailureReason, Limitation, Run, RunState, SubmitRun
from animus_control.domain.limits import Limits

RETRIED = frozenset({FailureReason.INFRASTRUCTURE})
"""Failures the platform repeats. A run that was killed may have been killed by itself, so it is not among them."""

OF_THE_CLIENT = frozenset({Limitation.DIRTY_WORKTREE})
"""Limitations that come with the code; all others are found again where the run executes."""

SPREAD = 0.25
"""By which part of itself a delay is longer at most."""

SPREAD_STEPS = 0xFFFF
MOST_DOUBLINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldRetry:
    """A retry that cannot be decided yet.

    Attributes:
        project_id: The project.
        run_id: The run that is to be retried.
        since: When it ended.
        reason: What its retry waits for.
    """

    project_id: ProjectId
    run_id: RunId
    since: datetime
    reason: str


def submission_of(run: Run) -> SubmitRun:
    """Return the submission that binds a new run to what this one is bound to; the schema is known by its digest."""
    return SubmitRun(
        code=run.code,
        environment_lock_id=run.environment_lock_id,
        datasets={binding.name: binding.version_id for binding in run.datasets},
        artifacts={binding.name: binding.artifact_id for binding in run.artifacts},
        parameters=run.parameters,
        outputs=run.outputs,
        resources=run.resources,
        run_class=run.run_class,
        seed=run.seed,
        limitations=[limitation for limitation in run.limitations if limitation in OF_THE_CLIENT],
        labels=run.labels,
        priority=run.priority,
        queue_seconds=run.queue_seconds,
        cell_seconds=run.cell_seconds,
        retries=run.retries,
        executor_labels=run.executor_labels,
    )


def origin_of_repeat(run: Run, relation: Relation) -> Origin:
    """Return how a run that repeats this one refers to it."""
    first = run.origin.first_run_id if run.origin else run.run_id
    before = run.origin.number if run.origin and run.origin.relation is relation else 0
    return Origin(relation=relation, run_id=run.run_id, first_run_id=first, number=before + 1)


def is_retried(run: Run) -> bool:
    """Say whether the platform repeats a run by itself."""
    used = run.origin.number if run.origin and run.origin.relation is Relation.RETRY else 0
    reason = run.failure.reason if run.failure else None
    return run.state is RunState.FAILED and reason in RETRIED and used < run.retries


def retry_delay(run: Run, limits: Limits) -> timedelta:
    """Return how long the retry of a run waits: doubling, bounded, and a little different for each run."""
    number = origin_of_repeat(run, Relation.RETRY).number
    delay = min(limits.retry_base * (1 << min(number - 1, MOST_DOUBLINGS)), limits.retry_longest)
    step = int(digest_bytes(run.run_id.encode())[-4:], 16)
    return delay * (1 + SPREAD * step / SPREAD_STEPS)
