# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who goes next is decided here, of a few heads of the queue, whatever its length.

Runs that ask executors for the same have the same *shape*; within a project and shape the queue is strictly ordered,
so only its head can go next. Between projects the one that uses the fewest cores for its weight goes first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from functools import lru_cache
from typing import Protocol

import msgspec

from animus_contracts.decoding import decode_json
from animus_contracts.executions import Capacity
from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.runs import Limitation, Run, RunClass, RunState
from animus_control.domain.quotas import Standing, exhausted

STARTED = frozenset({RunState.RUNNING, RunState.UNKNOWN, RunState.RECONCILING})


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What a run asks of an executor, besides its platform. Cores are counted in thousandths."""

    run_class: RunClass
    labels: dict[str, str]
    cpus_milli: int
    memory_mib: int
    gpus: int


class Offer(Protocol):
    """What an executor says of itself: a request for a lease, or the executor as it is registered."""

    @property
    def platform(self) -> str:
        """Platform tag of the runs it takes."""

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""

    @property
    def capacity(self) -> Capacity | None:
        """What it has free; None is without bounds."""

    @property
    def limitations(self) -> list[Limitation]:
        """What it cannot protect a run from."""


class Obstacle(StrEnum):
    """Why an executor cannot take a run, the most lasting reason first."""

    PLATFORM = "platform"
    ISOLATION = "isolation"
    LABELS = "labels"
    CAPACITY = "capacity"


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The first queued run of a project and shape."""

    project_id: ProjectId
    run_id: RunId
    shape: str
    priority: int
    queued_at: datetime

    @property
    def rank(self) -> tuple[int, datetime, RunId]:
        """Its place in the project's queue: what is less goes first."""
        return -self.priority, self.queued_at, self.run_id


def cpus_milli(cpus: float) -> int:
    """Return processor cores in thousandths, in which they are added up exactly."""
    return round(cpus * 1000)


def shape_of(run: Run) -> str:
    """Return the text that runs with the same demand share."""
    demand = Demand(
        run_class=run.run_class,
        labels=run.executor_labels,
        cpus_milli=cpus_milli(run.resources.cpus),
        memory_mib=run.resources.memory_mib,
        gpus=run.resources.gpus,
    )
    return msgspec.json.encode(demand, order="deterministic").decode()


@lru_cache(maxsize=4096)
def demand_of(shape: str) -> Demand:
    """Return the demand that a shape stands for."""
    return decode_json(shape, Demand)


def due_at(run: Run) -> datetime | None:
    """Return when a run has waited or run long enough as it is; None when time alone ends nothing."""
    if run.state is RunState.QUEUED and run.queued_at is not None and run.queue_seconds is not None:
        return max(run.queued_at, run.not_before or run.queued_at) + timedelta(seconds=run.queue_seconds)
    if run.state in STARTED and run.started_at is not None:
        return run.started_at + timedelta(seconds=run.resources.wall_seconds)
    return None


def obstacle(demand: Demand, platform: str, offer: Offer) -> Obstacle | None:
    """Return what keeps an executor from taking a run, or None when it can."""
    if offer.platform != platform:
        return Obstacle.PLATFORM
    if demand.run_class is RunClass.PRODUCTION and offer.limitations:
        return Obstacle.ISOLATION
    if demand.labels.items() - offer.labels.items():
        return Obstacle.LABELS
    return None if has_room(demand, offer.capacity) else Obstacle.CAPACITY


def has_room(demand: Demand, capacity: Capacity | None) -> bool:
    """Say whether a run fits into what is free; None is without bounds."""
    return capacity is None or (
        demand.cpus_milli <= cpus_milli(capacity.cpus)
        and demand.memory_mib <= capacity.memory_mib
        and demand.gpus <= capacity.gpus
    )


def choose(heads: Iterable[Head], platform: str, offer: Offer, standings: Mapping[ProjectId, Standing]) -> Head | None:
    """Return the run that goes next.

    Args:
        heads: The heads of all projects and shapes on this platform.
        platform: The platform.
        offer: Who asks.
        standings: Of every project among the heads, what it may use and uses.
    """
    best: dict[ProjectId, Head] = {}
    for head in heads:
        demand = demand_of(head.shape)
        if obstacle(demand, platform, offer) or exhausted(standings[head.project_id], needs_gpu=demand.gpus > 0):
            continue
        known = best.get(head.project_id)
        if known is None or head.rank < known.rank:
            best[head.project_id] = head
    return min(
        best.values(), key=lambda head: (standings[head.project_id].share, head.queued_at, head.run_id), default=None
    )


def after_lease(capacity: Capacity | None, demand: Demand) -> Capacity | None:
    """Return what an executor has free once it has taken a run."""
    if capacity is None:
        return None
    return Capacity(
        cpus=capacity.cpus - demand.cpus_milli / 1000,
        memory_mib=capacity.memory_mib - demand.memory_mib,
        gpus=capacity.gpus - demand.gpus,
    )


def start_estimate(ahead: int, running: int, seconds: Sequence[float]) -> float | None:
    """Estimate how long until a run starts.

    Args:
        ahead: How many are likely to start before it.
        running: How many run now; about as many will run at a time.
        seconds: How long runs took lately.

    Returns:
        Seconds, or None when nothing is known of how long runs take.
    """
    if not seconds:
        return None
    middle = sorted(seconds)[len(seconds) // 2]
    return round((ahead + 1) * middle / max(1, running), 1)
