# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies come in versions that never change; what was in force, and what was decided, never changes either."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select, tuple_

from animus_contracts.identifiers import ProjectId
from animus_contracts.policies import Policy, PolicyDecision, PolicySnapshot
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.session import Session
from animus_control.storage.tables import policies, policy_decisions, policy_snapshots

POLICIES = Layout[Policy](policies)
POLICY_SNAPSHOTS = Layout[PolicySnapshot](policy_snapshots)
POLICY_DECISIONS = Layout[PolicyDecision](policy_decisions)
_LATEST = (
    select(policies.c.name, func.max(policies.c.version))
    .where(policies.c.project_id == bindparam("project"))
    .group_by(policies.c.name)
)
_NEWEST = Prepared(
    POLICIES.select()
    .where(policies.c.project_id == bindparam("project"), tuple_(policies.c.name, policies.c.version).in_(_LATEST))
    .order_by(policies.c.name)
)


class PolicyTable(RecordTable[Policy]):
    """Policy versions."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, POLICIES)

    def newest(self, project_id: ProjectId) -> list[Policy]:
        """Return the newest version of every policy of the project, whatever its state, by name."""
        return [POLICIES.read(row) for row in self._session.all(_NEWEST, {"project": project_id})]
