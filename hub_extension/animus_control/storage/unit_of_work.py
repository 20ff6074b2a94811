# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One piece of work, all of it or nothing: its repositories share one session, and its audit records close it."""

from __future__ import annotations

from sqlalchemy import Connection

from animus_contracts.datasets import Dataset, DatasetVersion
from animus_contracts.environments import EnvironmentLock
from animus_contracts.policies import PolicyDecision, PolicySnapshot
from animus_control.storage.audit_log import BufferedAuditLog, Chain
from animus_control.storage.repositories.projects import ProjectTable
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.repositories.role_bindings import RoleBindingTable
from animus_control.storage.repositories.versions import EnvironmentTable, PolicyTable
from animus_control.storage.session import Session
from animus_control.storage.tables import (
    dataset_versions,
    datasets,
    environment_locks,
    policy_decisions,
    policy_snapshots,
)

DATASETS = Layout[Dataset](datasets)
DATASET_VERSIONS = Layout[DatasetVersion](dataset_versions)
ENVIRONMENT_LOCKS = Layout[EnvironmentLock](environment_locks)
POLICY_SNAPSHOTS = Layout[PolicySnapshot](policy_snapshots)
POLICY_DECISIONS = Layout[PolicyDecision](policy_decisions)


class StoredUnitOfWork:
    """The repositories of one piece of work.

    Args:
        connection: Connection inside a transaction.
        writable: Whether the work may change anything.
    """

    def __init__(self, connection: Connection, *, writable: bool) -> None:
        self._session = session = Session(connection, writable=writable)
        self.notified: set[str] = set()
        self.audit = BufferedAuditLog(session)
        self.projects = ProjectTable(session)
        self.role_bindings = RoleBindingTable(session)
        self.datasets = RecordTable(session, DATASETS)
        self.dataset_versions = RecordTable(session, DATASET_VERSIONS)
        self.environments = EnvironmentTable(session)
        self.environment_locks = RecordTable(session, ENVIRONMENT_LOCKS)
        self.policies = PolicyTable(session)
        self.policy_snapshots = RecordTable(session, POLICY_SNAPSHOTS)
        self.policy_decisions = RecordTable(session, POLICY_DECISIONS)

    def notify(self, channel: str) -> None:
        """Wake those who wait on a channel once this work is durable."""
        self.notified.add(channel)

    @property
    def lost_transaction(self) -> bool:
        """Whether the database has given up the whole transaction."""
        return self._session.lost_transaction

    def finish(self, chain: Chain) -> None:
        """Chain what was audited and see that nothing unaudited changed.

        Raises:
            UnauditedChangeError: If audited facts changed without an audit record.
        """
        self._session.verify()
        if self.audit.records:
            chain.extend(self._session, self.audit.records)
