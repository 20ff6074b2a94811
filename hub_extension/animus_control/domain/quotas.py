# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a project used is whole numbers of milliseconds times amounts, per day in UTC, so that sums are exact.

A bound is reached when as much as it allows is used: 0 is reached by nothing at all. A bound of accelerators holds
back only runs that ask for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import msgspec

from animus_contracts.environments import Resources
from animus_contracts.problems import Fault
from animus_contracts.quotas import DEFAULT_PERIOD_DAYS, PutQuota, Quota, Usage

EPOCH = date(1970, 1, 1)
DAY = timedelta(days=1)
MILLISECOND = timedelta(milliseconds=1)
HOUR_MS = 3_600_000
MIB_PER_GIB = 1024
RANGES: Mapping[str, tuple[float, float]] = {
    "concurrent_runs": (0, 1_000_000),
    "cpu_hours": (0, 1e9),
    "memory_gib_hours": (0, 1e12),
    "gpu_hours": (0, 1e9),
    "period_days": (1, 366),
    "weight": (0.001, 1000),
    "max_priority": (0, 100),
}
"""What a quota's numbers may be, both ends included."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """Amounts times milliseconds: thousandths of cores, MiB of memory, accelerators."""

    cpu: int = 0
    memory: int = 0
    gpu: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """What a project may use, and uses: runs and thousandths of cores now, and what it spent in its period."""

    quota: Quota | None = None
    running: int = 0
    cpus_milli: int = 0
    spent: Spent = field(default_factory=Spent)

    @property
    def share(self) -> float:
        """The cores in use for each unit of weight; the project with the least goes first."""
        return self.cpus_milli / (self.quota.weight if self.quota else 1.0)


def quota_faults(message: PutQuota) -> list[Fault]:
    """Check that a quota's numbers are in their ranges; a bound that is no number is in none."""
    values = msgspec.structs.asdict(message)
    return [
        Fault(path=f"$.{name}", code="out_of_range", message=f"must be from {least:g} to {most:g}, not {values[name]}")
        for name, (least, most) in RANGES.items()
        if values[name] is not None and not least <= values[name] <= most
    ]


def exhausted(standing: Standing, *, needs_gpu: bool) -> str | None:
    """Return the name of a bound that keeps a project's run from starting, or None."""
    quota = standing.quota
    if quota is None:
        return None
    used = {
        "concurrent_runs": standing.running,
        "cpu_hours": cpu_hours(standing.spent),
        "memory_gib_hours": memory_gib_hours(standing.spent),
        **({"gpu_hours": gpu_hours(standing.spent)} if needs_gpu else {}),
    }
    bounds = ((name, getattr(quota, name), amount) for name, amount in used.items())
    return next((name for name, bound, amount in bounds if bound is not None and amount >= bound), None)


def cpu_hours(spent: Spent) -> float:
    """Return hours of cores."""
    return spent.cpu / 1000 / HOUR_MS


def memory_gib_hours(spent: Spent) -> float:
    """Return hours of GiB."""
    return spent.memory / MIB_PER_GIB / HOUR_MS


def gpu_hours(spent: Spent) -> float:
    """Return hours of accelerators."""
    return spent.gpu / HOUR_MS


def usage_of(standing: Standing, now: datetime) -> Usage:
    """Return what people are shown of a project's use."""
    return Usage(
        concurrent_runs=standing.running,
        cpus=standing.cpus_milli / 1000,
        cpu_hours=cpu_hours(standing.spent),
        memory_gib_hours=memory_gib_hours(standing.spent),
        gpu_hours=gpu_hours(standing.spent),
        since=period_start(now, standing.quota.period_days if standing.quota else DEFAULT_PERIOD_DAYS),
    )


def day_of(moment: datetime) -> int:
    """Return the number of a moment's day in UTC, counted from 1970."""
    return (moment.astimezone(UTC).date() - EPOCH).days


def period_start(now: datetime, days: int) -> datetime:
    """Return the midnight with which the period that contains ``now`` began."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight - (days - 1) * DAY


def spent_by_day(began: datetime, ended: datetime, resources: Resources) -> Iterator[tuple[int, Spent]]:
    """Yield what a run spent on each day on which it ran."""
    while began < ended:
        midnight = period_start(began, 1) + DAY
        until = min(ended, midnight)
        milliseconds = (until - began) // MILLISECOND
        yield (
            day_of(began),
            Spent(
                cpu=round(resources.cpus * 1000) * milliseconds,
                memory=resources.memory_mib * milliseconds,
                gpu=resources.gpus * milliseconds,
            ),
        )
        began = until
