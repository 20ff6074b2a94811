# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run's metrics are read in the order in which it logged them."""

from __future__ import annotations

from animus_contracts.artifacts import Metric
from animus_contracts.pages import ListQuery, Page
from animus_control.services.calls import Call
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id


@operation("metrics.list")
def list_metrics(uow: UnitOfWork, call: Call, message: ListQuery) -> Page[Metric]:
    """List a run's metrics."""
    run = by_id(call, uow.runs, "run", "run")
    return paged(uow.metrics.page, message, run.project_id, run.run_id)
