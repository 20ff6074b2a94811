# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A quota bounds what a project may use; it is asked when a run is to start, and a run that exceeds it waits.

None sets no bound, and 0 allows nothing. What a run used is the time from its start to its end, times what it asked
for, whether or not it needed that; a run that goes on counts until now.
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from animus_contracts.identifiers import ProjectId, QuotaId

DEFAULT_PERIOD_DAYS = 30


class PutQuota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Set a project's quota; what is left out is unbounded, whatever the version before said.

    Attributes:
        concurrent_runs: Most runs at the same time.
        cpu_hours: Most hours of processor cores in a period.
        memory_gib_hours: Most hours of GiB of memory in a period.
        gpu_hours: Most hours of accelerators in a period; it holds back only runs that ask for one.
        period_days: Length of the period: today and the days before it, in UTC. With 1 everything starts anew at
            midnight; with 7 each midnight gives back what was used eight days before.
        weight: The project's share when several wait: with 2 it gets twice the cores of one with 1.
        max_priority: Highest priority a run may be submitted with.
    """

    concurrent_runs: int | None = None
    cpu_hours: float | None = None
    memory_gib_hours: float | None = None
    gpu_hours: float | None = None
    period_days: int = DEFAULT_PERIOD_DAYS
    weight: float = 1.0
    max_priority: int | None = None


class Quota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Version ``version`` of a project's quota; the newest one counts. The bounds are those of :class:`PutQuota`."""

    quota_id: QuotaId
    project_id: ProjectId
    version: int
    concurrent_runs: int | None
    cpu_hours: float | None
    memory_gib_hours: float | None
    gpu_hours: float | None
    period_days: int
    weight: float
    max_priority: int | None
    created_at: datetime
    created_by: str


class Usage(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a project uses now (``concurrent_runs``, ``cpus``) and has used since ``since``."""

    concurrent_runs: int
    cpus: float
    cpu_hours: float
    memory_gib_hours: float
    gpu_hours: float
    since: datetime


class ProjectQuota(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A project's quota, None when it has none, and what it uses."""

    quota: Quota | None
    usage: Usage
