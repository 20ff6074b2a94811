# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One piece of work, all of it or nothing: its repositories share one session, and its audit records close it."""

from __future__ import annotations

from datetime import datetime

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
from animus_control.storage.repositories.role_bindings import RoleBindingTable
from animus_control.storage.repositories.run_events import RunEventTable
from animus_control.storage.repositories.runs import RunTable
from animus_control.storage.repositories.schedules import FiringTable, ScheduleTable
from animus_control.storage.repositories.tasks import TaskTable
from animus_control.storage.repositories.tokens import TokenTable
from animus_control.storage.repositories.user_groups import UserGroupsTable
from animus_control.storage.run_tables import artifacts
from animus_control.storage.session import Session

ARTIFACTS = Layout[Artifact](artifacts)


class StoredUnitOfWork:
    """The repositories of one piece of work.

    Args:
        session: Its statements.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self.notified: set[str] = set()
        self._audit = BufferedAuditLog(session)
        self.audit: repositories.AuditLog = self._audit
        self.projects: repositories.Projects = ProjectTable(session)
        self.role_bindings: repositories.RoleBindings = RoleBindingTable(session)
        self.user_groups: rule_repositories.UserGroups = UserGroupsTable(session)
        self.datasets: repositories.Records[Dataset] = RecordTable(session, DATASETS)
        self.dataset_versions: repositories.Records[DatasetVersion] = RecordTable(session, DATASET_VERSIONS)
        self.dataset_files: repositories.DatasetFiles = DatasetFileTable(session)
        self.environments: repositories.Environments = EnvironmentTable(session)
        self.environment_locks: repositories.Records[EnvironmentLock] = RecordTable(session, ENVIRONMENT_LOCKS)
        self.policies: rule_repositories.Policies = PolicyTable(session)
        self.policy_snapshots: repositories.Records[PolicySnapshot] = RecordTable(session, POLICY_SNAPSHOTS)
        self.policy_decisions: rule_repositories.PolicyDecisions = PolicyDecisionTable(session)
        self.runs: run_repositories.Runs = RunTable(session)
        self.approvals: rule_repositories.Approvals = ApprovalTable(session)
        self.schedules: rule_repositories.Schedules = ScheduleTable(session)
        self.firings: rule_repositories.Firings = FiringTable(session)
        self.pipelines: run_repositories.Pipelines = PipelineTable(session)
        self.executions: run_repositories.Executions = ExecutionTable(session)
        self.executors: run_repositories.Executors = ExecutorTable(session)
        self.queue: run_repositories.Queue = QueueTable(session)
        self.quotas: repositories.Quotas = QuotaTable(session)
        self.artifacts: repositories.Records[Artifact] = RecordTable(session, ARTIFACTS)
        self.metrics: run_repositories.Metrics = MetricTable(session)
        self.events: run_repositories.RunEvents = RunEventTable(session)
        self.lineage: repositories.Lineage = LineageTable(session)
        self.tasks: run_repositories.Tasks = TaskTable(session)
        self.inspections: repositories.Answers[Inspection] = AnswerTable(session, INSPECTIONS)
        self.preflights: repositories.Answers[Preflight] = AnswerTable(session, PREFLIGHTS)
        self.comparisons: repositories.Answers[Comparison] = AnswerTable(session, COMPARISONS)
        self.tokens: run_repositories.Tokens = TokenTable(session)
        self.objects: repositories.ProjectObjects = ProjectObjectTable(session)
        self.idempotency: repositories.IdempotencyKeys = IdempotencyTable(session)
        self.outbox: repositories.Outbox = StoredOutbox(session)

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
        self._session.verify()
        if self._audit.records:
            chain.extend(self._session, self._audit.records)
