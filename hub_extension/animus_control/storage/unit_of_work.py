# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One piece of work, all of it or nothing: its repositories share one session, and its audit records close it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Generic, TypeVar

from animus_contracts.artifacts import Artifact
from animus_contracts.comparisons import Comparison
from animus_contracts.datasets import Dataset, DatasetVersion
from animus_contracts.environments import EnvironmentLock
from animus_contracts.inspections import Inspection
from animus_contracts.policies import PolicySnapshot
from animus_contracts.preflights import Preflight
from animus_control.services import repositories, rule_repositories, run_repositories
from animus_control.storage.audit_log import BufferedAuditLog, Chain
from animus_control.storage.outbox import StoredOutbox
from animus_control.storage.repositories.answers import COMPARISONS, INSPECTIONS, PREFLIGHTS, AnswerTable
from animus_control.storage.repositories.approvals import ApprovalTable
from animus_control.storage.repositories.datasets import DATASET_VERSIONS, DATASETS, DatasetFileTable
from animus_control.storage.repositories.environments import ENVIRONMENT_LOCKS, EnvironmentTable
from animus_control.storage.repositories.executions import ExecutionTable
from animus_control.storage.repositories.executors import ExecutorTable
from animus_control.storage.repositories.idempotency import IdempotencyTable
from animus_control.storage.repositories.lineage import LineageTable
from animus_control.storage.repositories.metrics import MetricTable
from animus_control.storage.repositories.objects import ProjectObjectTable
from animus_control.storage.repositories.pipelines import PipelineTable
from animus_control.storage.repositories.policies import POLICY_SNAPSHOTS, PolicyDecisionTable, PolicyTable
from animus_control.storage.repositories.projects import ProjectTable
from animus_control.storage.repositories.queue import QueueTable
from animus_control.storage.repositories.quotas import QuotaTable
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.repositories.repeats import HeldRetryTable
from animus_control.storage.repositories.role_bindings import RoleBindingTable
from animus_control.storage.repositories.run_events import RunEventTable
from animus_control.storage.repositories.runs import RunTable
from animus_control.storage.repositories.schedules import FiringTable, ScheduleTable
from animus_control.storage.repositories.tasks import TaskTable
from animus_control.storage.repositories.tokens import TokenTable
from animus_control.storage.repositories.user_groups import UserGroupsTable
from animus_control.storage.run_tables import artifacts
from animus_control.storage.session import Session

R = TypeVar("R")

ARTIFACTS = Layout[Artifact](artifacts)


class _Part(Generic[R]):
    """A repository that is made when it is first used: work needs a few of them.

    Args:
        build: Makes it of the session.
    """

    def __init__(self, build: Callable[[Session], R]) -> None:
        self._build = build

    def __set_name__(self, owner: type[StoredUnitOfWork], name: str) -> None:
        """Learn under which name it is used."""
        self._name = name

    def __get__(self, uow: StoredUnitOfWork, owner: type[StoredUnitOfWork]) -> R:
        """Return the repository; from then on it is found without asking here."""
        part = uow.__dict__[self._name] = self._build(uow.session)
        return part


class StoredUnitOfWork:
    """The repositories of one piece of work, and then of the next: those of one transaction follow each other.

    Args:
        session: Their statements.
    """

    projects = _Part[repositories.Projects](ProjectTable)
    role_bindings = _Part[repositories.RoleBindings](RoleBindingTable)
    user_groups = _Part[rule_repositories.UserGroups](UserGroupsTable)
    datasets = _Part[repositories.Records[Dataset]](lambda session: RecordTable(session, DATASETS))
    dataset_versions = _Part[repositories.Records[DatasetVersion]](
        lambda session: RecordTable(session, DATASET_VERSIONS)
    )
    dataset_files = _Part[repositories.DatasetFiles](DatasetFileTable)
    environments = _Part[repositories.Environments](EnvironmentTable)
    environment_locks = _Part[repositories.Records[EnvironmentLock]](
        lambda session: RecordTable(session, ENVIRONMENT_LOCKS)
    )
    policies = _Part[rule_repositories.Policies](PolicyTable)
    policy_snapshots = _Part[repositories.Records[PolicySnapshot]](
        lambda session: RecordTable(session, POLICY_SNAPSHOTS)
    )
    policy_decisions = _Part[rule_repositories.PolicyDecisions](PolicyDecisionTable)
    runs = _Part[run_repositories.Runs](RunTable)
    held_retries = _Part[run_repositories.HeldRetries](HeldRetryTable)
    approvals = _Part[rule_repositories.Approvals](ApprovalTable)
    schedules = _Part[rule_repositories.Schedules](ScheduleTable)
    firings = _Part[rule_repositories.Firings](FiringTable)
    pipelines = _Part[run_repositories.Pipelines](PipelineTable)
    executions = _Part[run_repositories.Executions](ExecutionTable)
    executors = _Part[run_repositories.Executors](ExecutorTable)
    queue = _Part[run_repositories.Queue](QueueTable)
    quotas = _Part[repositories.Quotas](QuotaTable)
    artifacts = _Part[repositories.Records[Artifact]](lambda session: RecordTable(session, ARTIFACTS))
    metrics = _Part[run_repositories.Metrics](MetricTable)
    events = _Part[run_repositories.RunEvents](RunEventTable)
    lineage = _Part[repositories.Lineage](LineageTable)
    tasks = _Part[run_repositories.Tasks](TaskTable)
    inspections = _Part[repositories.Answers[Inspection]](lambda session: AnswerTable(session, INSPECTIONS))
    preflights = _Part[repositories.Answers[Preflight]](lambda session: AnswerTable(session, PREFLIGHTS))
    comparisons = _Part[repositories.Answers[Comparison]](lambda session: AnswerTable(session, COMPARISONS))
    tokens = _Part[run_repositories.Tokens](TokenTable)
    objects = _Part[repositories.ProjectObjects](ProjectObjectTable)
    idempotency = _Part[repositories.IdempotencyKeys](IdempotencyTable)
    outbox = _Part[repositories.Outbox](StoredOutbox)

    def __init__(self, session: Session) -> None:
        self.session = session
        self.notified: set[str] = set()
        self._audit = BufferedAuditLog(session)
        self.audit: repositories.AuditLog = self._audit

    def begin(self, *, exact: bool) -> None:
        """Be the unit of the next piece of work; see :meth:`animus_control.storage.session.Session.begin`."""
        self.session.begin(exact=exact)
        self.notified = set()
        self._audit.records = []

    def notify(self, channel: str) -> None:
        """Wake those who wait on a channel once this work is durable."""
        self.notified.add(channel)

    def touch(self, now: datetime) -> None:
        """Write without changing anything that counts, to see that the database takes a write."""
        self._audit.touch(now)

    def finish(self, chain: Chain) -> None:
        """Chain what was audited and see that nothing unaudited changed.

        Raises:
            UnauditedChangeError: If audited facts changed without an audit record.
        """
        self.session.verify()
        if self._audit.records:
            chain.extend(self.session, self._audit.records)
