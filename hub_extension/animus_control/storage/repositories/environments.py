# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Of an environment's version nothing but the state changes; a lock never changes."""

from __future__ import annotations

from sqlalchemy import bindparam, update

from animus_contracts.environments import Environment, EnvironmentLock, EnvironmentState
from animus_contracts.identifiers import ProjectId
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.session import Session
from animus_control.storage.tables import environment_locks, environments

ENVIRONMENTS = Layout[Environment](environments, changing=("state",))
ENVIRONMENT_LOCKS = Layout[EnvironmentLock](environment_locks)
_SET_STATE = Prepared(
    update(environments)
    .where(
        environments.c.project_id == bindparam("project"),
        environments.c.environment_id == bindparam("id"),
        environments.c.state != bindparam("new_state"),
    )
    .values(state=bindparam("new_state"))
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
