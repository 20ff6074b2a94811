# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The Python client: the same verbs as ``%animus`` and ``animus``, for scripts and CI.

``Client().runs.submit(…)``: address, token and project are found as everywhere (see ``animus.session``).
"""

from __future__ import annotations

import os
from types import TracebackType
from typing import Self

from animus import session as sessions
from animus.api.approvals import Approvals
from animus.api.audit import Audit, Lineage
from animus.api.comparisons import Comparisons
from animus.api.datasets import Datasets
from animus.api.environments import Environments
from animus.api.executors import Executors
from animus.api.inspections import Inspections
from animus.api.pipelines import Pipelines
from animus.api.policies import Policies
from animus.api.preflights import Preflights
from animus.api.projects import Members, Projects
from animus.api.quotas import Quotas
from animus.api.runs import Artifacts, Metrics, Runs
from animus.api.schedules import Schedules
from animus.pending import key_for
from animus.pipeline_submission import PipelineWish, prepare_pipeline
from animus.session import Session
from animus.submission import Wish, prepare
from animus.transport import Transport
from animus_contracts.pipeline_runs import PipelineRun
from animus_contracts.projects import Identity
from animus_contracts.runs import Run


class Client:
    """Everything a user may do in one project.

    Args:
        session: Address, token and project; found in the environment when absent.
        project: Name or id of the project, when it is not the default one.
        transport: Carries the calls; one of our own when absent.
    """

    def __init__(
        self, session: Session | None = None, *, project: str = "", transport: Transport | None = None
    ) -> None:
        self.session = session or sessions.find(os.environ, project=project)
        self.project = project or self.session.project
        self.transport = transport or Transport(self.session)
        self.projects = Projects(self.transport, self.project)
        self.members = Members(self.transport, self.project)
        self.datasets = Datasets(self.transport, self.project)
        self.environments = Environments(self.transport, self.project)
        self.quotas = Quotas(self.transport, self.project)
        self.executors = Executors(self.transport)
        self.runs = Runs(self.transport, self.project)
        self.comparisons = Comparisons(self.transport, self.project)
        self.inspections = Inspections(self.transport, self.project)
        self.preflights = Preflights(self.transport, self.project)
        self.pipelines = Pipelines(self.transport, self.project)
        self.policies = Policies(self.transport, self.project)
        self.approvals = Approvals(self.transport, self.project)
        self.schedules = Schedules(self.transport, self.project)
        self.metrics = Metrics(self.transport, self.project)
        self.artifacts = Artifacts(self.transport, self.project)
        self.lineage = Lineage(self.transport, self.project)
        self.audit = Audit(self.transport, self.project)

    def __repr__(self) -> str:
        return f"Client({self.session.url!r}, project={self.project!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def whoami(self) -> Identity:
        """Return who the caller is, as the control plane sees it."""
        identity: Identity = self.transport.call("identity.read")
        return identity

    def run(self, wish: Wish) -> Run:
        """Submit a notebook as wished; a repetition after a lost answer returns the run that exists."""
        run, _ = self.submit(wish)
        return run

    def submit(self, wish: Wish) -> tuple[Run, list[str]]:
        """Submit a notebook as wished, and return the run with notes for the user."""
        submission, notes = prepare(self, wish)
        with key_for(sessions.folder(os.environ), self.session.url, self.project, submission) as key:
            return self.runs.submit(submission, key=key), notes

    def submit_pipeline(self, wish: PipelineWish) -> tuple[PipelineRun, list[str]]:
        """Submit a pipeline file as wished, and return the pipeline run with notes for the user."""
        submission, notes = prepare_pipeline(wish)
        with key_for(sessions.folder(os.environ), self.session.url, self.project, submission) as key:
            return self.pipelines.submit(submission, key=key), notes

    def in_project(self, project: str) -> Client:
        """Return a client for another project over the same connection."""
        return Client(self.session, project=project, transport=self.transport)

    def close(self) -> None:
        """Close the connections."""
        self.transport.close()
