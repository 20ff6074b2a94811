# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Importing this module registers every operation of the services; the aggregates do not know each other's names."""

from __future__ import annotations

from animus_control.services import (  # noqa: F401 - they register their operations when they are imported
    approvals,
    artifacts,
    audit,
    comparisons,
    datasets,
    dispatch,
    endings,
    environments,
    executions,
    executors,
    firings,
    identity,
    inspections,
    lineage,
    metrics,
    objects,
    pipelines,
    policies,
    preflights,
    projects,
    quotas,
    repeats,
    reports,
    role_bindings,
    runs,
    schedules,
    simulations,
    submission,
    tasks,
    waiting,
)
from animus_control.services.operations import OPERATIONS

__all__ = ["OPERATIONS"]
