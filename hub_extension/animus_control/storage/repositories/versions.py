# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Environments and policies come in versions; of an environment's version nothing but the state changes."""

from __future__ import annotations

from sqlalchemy import bindparam, func, select, tuple_, update

from animus_contracts.environments import Environment, EnvironmentState
from animus_contracts.identifiers import ProjectId
from animus_contracts.policies import Policy
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.session import Session
from animus_control.storage.tables import environments, policies

ENVIRONMENTS = Layout[Environment](environments, changing=("state",))
POLICIES = Layout[Policy](policies)
_SET_STATE = (
    update(environments)
    .where(
        environments.c.project_id == bindparam("project"),
        environments.c.environment_id == bindparam("id"),
        environments.c.state != bindparam("new_state"),
    )
    .values(state=bindparam("new_state"))
)
_LATEST = (
    select(policies.c.name, func.max(policies.c.version))
    .where(policies.c.project_id == bindparam("project"))
    .group_by(policies.c.name)
)
_NEWEST = (
    POLICIES.select()
    .where(policies.c.project_id == bindparam("project"), tuple_(policies.c.name, policies.c.version).in_(_LATEST))
    .order_by(policies.c.name)
)


class EnvironmentTable(RecordTable[Environment]):
    """Environment versions."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, ENVIRONMENTS)

    def set_state(self, project_id: ProjectId, environment_id: str, state: EnvironmentState) -> bool:
        """Store another state; False when there is no such environment or it has that state already."""
        values = {"project": project_id, "id": environment_id, "new_state": state}
        return self._session.change(_SET_STATE, values) == 1


class PolicyTable(RecordTable[Policy]):
    """Policy versions."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, POLICIES)

    def newest(self, project_id: ProjectId) -> list[Policy]:
        """Return the newest version of every policy of the project, whatever its state, by name."""
        return [POLICIES.read(row) for row in self._session.all(_NEWEST, {"project": project_id})]
