# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The same facts seen in two ways: as the API tells them, and as a database holds them."""

from __future__ import annotations

from typing import Any

from animus.api import pages
from animus.client import Client
from animus_contracts.identifiers import ProjectId
from animus_contracts.pages import MAX_LIMIT, ListQuery
from animus_control.services.ports import Database, UnitOfWork
from tests.faults.invariants import Observed


def told_by(client: Client) -> Observed:
    """Ask the API, as a platform administrator in the campaign's project."""
    runs = list(client.runs.list())
    stories = {run.run_id: client.runs.explain(run.run_id) for run in runs}
    return Observed(
        runs=runs,
        executions={run_id: story.executions for run_id, story in stories.items()},
        artifacts={run_id: story.artifacts for run_id, story in stories.items()},
        events=list(pages(client.transport, "audit_chain.read", ListQuery(limit=MAX_LIMIT))),
    )


def held_by(database: Database, project_id: ProjectId) -> Observed:
    """Ask a database, in one snapshot."""

    def look(uow: UnitOfWork) -> Observed:
        runs: list[Any] = uow.runs.page(project_id, limit=100_000, cursor=None).items
        return Observed(
            runs=runs,
            executions={run.run_id: uow.executions.of_run(run.run_id) for run in runs},
            artifacts={
                run.run_id: uow.artifacts.page(project_id, limit=1000, cursor=None, run_id=run.run_id).items
                for run in runs
            },
            events=uow.audit.page(None, limit=1_000_000, cursor=None).items,
        )

    return database.read(look)
