# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Why a run waits: the first reason that would have to go away, in the order in which the queue itself asks.

Backoff before quota, quota before executors, and of executors the most lasting obstacle first.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from animus_contracts.executors import Executor
from animus_contracts.queues import WaitingReason
from animus_contracts.runs import Run, RunState
from animus_control.domain.queue import Demand, Obstacle, has_room, obstacle
from animus_control.domain.quotas import Standing, exhausted, usage_of

Told = tuple[WaitingReason, str]

IN_ONE_SENTENCE = {
    "concurrent_runs": "{used:g} of the {bound:g} runs that the project's quota allows at a time are under way.",
    "cpu_hours": "The project has used {used:.2f} of the {bound:g} core hours its quota allows since {since}.",
    "memory_gib_hours": "The project has used {used:.2f} of the {bound:g} GiB hours its quota allows since {since}.",
    "gpu_hours": "The project has used {used:.2f} of the {bound:g} accelerator hours its quota allows since {since}.",
}


def explain(
    run: Run, *, demand: Demand, platform: str, standing: Standing, executors: Sequence[Executor], now: datetime
) -> Told:
    """Return why a run waits, or that it does not.

    Args:
        run: The run.
        demand: What it asks of an executor.
        platform: The platform it needs.
        standing: What its project may use and uses.
        executors: The executors that were heard of lately.
        now: The present.
    """
    if run.state is RunState.AWAITING_APPROVAL:
        return WaitingReason.AWAITING_APPROVAL, "The policies want another person to approve it."
    if run.state is not RunState.QUEUED:
        return WaitingReason.NOT_WAITING, f"The run is {run.state}."
    if run.not_before is not None and run.not_before > now:
        return WaitingReason.BACKOFF, f"It is held back until {run.not_before:%Y-%m-%d %H:%M:%S} UTC."
    bound = exhausted(standing, needs_gpu=demand.gpus > 0)
    if bound is not None:
        return WaitingReason.QUOTA_EXCEEDED, _quota(bound, standing, now)
    return _of_executors(demand, platform, executors)


def _quota(bound: str, standing: Standing, now: datetime) -> str:
    usage = usage_of(standing, now)
    return IN_ONE_SENTENCE[bound].format(
        used=getattr(usage, bound), bound=getattr(standing.quota, bound), since=f"{usage.since:%Y-%m-%d}"
    )


def _of_executors(demand: Demand, platform: str, executors: Sequence[Executor]) -> Told:
    if not executors:
        return WaitingReason.NO_EXECUTOR, "No executor has asked for work lately."
    found = {executor.name: obstacle(demand, platform, executor) for executor in executors}
    if None in found.values():
        return WaitingReason.IN_QUEUE, "An executor that could take it is there."
    least = max(found.values(), key=list(Obstacle).index)  # type: ignore[arg-type]  # None was excluded above
    near = [executor for executor in executors if found[executor.name] is least]
    if least is Obstacle.PLATFORM:
        return WaitingReason.NO_EXECUTOR, f"No executor has the platform {platform}."
    if least is Obstacle.ISOLATION:
        return WaitingReason.NO_EXECUTOR, "No executor isolates runs as completely as a production run needs."
    if least is Obstacle.LABELS:
        return WaitingReason.NO_EXECUTOR, _labels(demand, near)
    asked = _amounts(demand.cpus_milli / 1000, demand.memory_mib, demand.gpus)
    if any(has_room(demand, executor.largest) for executor in near):
        return WaitingReason.NO_CAPACITY, f"It asks for {asked}; no executor that could take it has that free now."
    most = [_amounts(it.cpus, it.memory_mib, it.gpus) for executor in near if (it := executor.largest) is not None]
    return WaitingReason.NO_EXECUTOR, f"It asks for {asked}; executors that could take it had at most {max(most)}."


def _labels(demand: Demand, executors: Sequence[Executor]) -> str:
    wanted = sorted(demand.labels.items())
    absent = [(key, value) for key, value in wanted if all(it.labels.get(key) != value for it in executors)]
    names = ", ".join(f"{key}={value}" for key, value in absent or wanted)
    if len(absent or wanted) == 1:
        return f"No executor has the label {names}."
    return f"No executor has the labels {names}{'' if absent else ' together'}."


def _amounts(cpus: float, memory_mib: int, gpus: int) -> str:
    parts = [f"{cpus:g} cores", f"{memory_mib} MiB"]
    return ", ".join([*parts, f"{gpus} accelerators"] if gpus else parts)
