# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How quotas, executors and runs in the queue look: columns of tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from animus_contracts.executions import Capacity
from animus_contracts.executors import Executor
from animus_contracts.quotas import ProjectQuota

UNBOUNDED = "no bound"


def _capacity(amount: Capacity | None) -> str:
    if amount is None:
        return UNBOUNDED
    parts = [f"{amount.cpus:g} cores", f"{amount.memory_mib} MiB", *([f"{amount.gpus} GPUs"] if amount.gpus else [])]
    return ", ".join(parts)


def _use(name: str) -> Callable[[ProjectQuota], str]:
    def shown(it: ProjectQuota) -> str:
        used = getattr(it.usage, name)
        bound = getattr(it.quota, name) if it.quota else None
        return f"{used:.4g} of {bound:g}" if bound is not None else f"{used:.4g} ({UNBOUNDED})"

    return shown


def _highest(it: ProjectQuota) -> Any:
    return UNBOUNDED if it.quota is None or it.quota.max_priority is None else it.quota.max_priority


COLUMNS: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    ProjectQuota: {
        "runs at a time": _use("concurrent_runs"),
        "core hours": _use("cpu_hours"),
        "GiB hours": _use("memory_gib_hours"),
        "GPU hours": _use("gpu_hours"),
        "since": lambda it: f"{it.usage.since:%Y-%m-%d} (UTC)",
        "cores now": lambda it: it.usage.cpus,
        "weight": lambda it: it.quota.weight if it.quota else 1.0,
        "highest priority": _highest,
        "version": lambda it: it.quota.version if it.quota else "none",
    },
    Executor: {
        "executor": lambda it: it.name,
        "platform": lambda it: it.platform,
        "labels": lambda it: ", ".join(f"{key}={value}" for key, value in sorted(it.labels.items())),
        "free": lambda it: _capacity(it.capacity),
        "most": lambda it: _capacity(it.largest),
        "cannot": lambda it: ", ".join(it.limitations),
        "last seen": lambda it: it.last_seen_at,
    },
}
