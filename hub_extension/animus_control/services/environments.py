# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An environment changes by versions, its locks never; what is archived is not locked any more but still runs."""

from __future__ import annotations

import msgspec

from animus_contracts.audit import Action
from animus_contracts.environments import (
    DefineEnvironment,
    Environment,
    EnvironmentLock,
    EnvironmentState,
    LockEnvironment,
    env_hash,
)
from animus_contracts.identifiers import EnvironmentId, LockId
from animus_contracts.pages import NamedListQuery, Page
from animus_control.domain import lineage
from animus_control.domain.environments import definition_faults, lock_faults
from animus_control.domain.errors import ConflictError
from animus_control.domain.names import refuse
from animus_control.services.calls import Call, audited
from animus_control.services.listing import paged
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id, by_id_or_name, project_of, require


@operation("environments.define")
def define_environment(uow: UnitOfWork, call: Call, message: DefineEnvironment) -> Environment:
    """Define the next version of an environment."""
    refuse(definition_faults(message, call.limits))
    project_id = project_of(call).project_id
    before = uow.environments.find(project_id, name=message.name)
    environment = Environment(
        environment_id=EnvironmentId(call.new_id()),
        project_id=project_id,
        name=message.name,
        version=before.version + 1 if before else 1,
        description=message.description,
        python=message.python,
        requirements=message.requirements,
        images=message.images,
        limits=message.limits,
        state=EnvironmentState.ACTIVE,
        supersedes=before.environment_id if before else None,
        created_at=call.now,
        created_by=call.principal.subject,
    )
    uow.environments.add(environment)
    _audit(uow, call, Action.ENVIRONMENT_DEFINED, environment)
    return environment


@operation("environments.list")
def list_environments(uow: UnitOfWork, call: Call, message: NamedListQuery) -> Page[Environment]:
    """List environments."""
    return paged(uow.environments.page, message, project_of(call).project_id, name=message.name)


@operation("environments.read")
def read_environment(uow: UnitOfWork, call: Call, message: None) -> Environment:  # noqa: ARG001 - every operation has one
    """Return an environment by id, or the newest version of a name."""
    return by_id_or_name(call, uow.environments, "environment", "environment", "environment_not_found")


@operation("environments.archive")
def archive_environment(uow: UnitOfWork, call: Call, message: None) -> Environment:  # noqa: ARG001 - as above
    """Archive an environment version; archiving it again changes nothing."""
    environment = by_id_or_name(call, uow.environments, "environment", "environment", "environment_not_found")
    state = EnvironmentState.ARCHIVED
    if uow.environments.set_state(environment.project_id, environment.environment_id, state):
        _audit(uow, call, Action.ENVIRONMENT_ARCHIVED, environment)
    return msgspec.structs.replace(environment, state=state)


@operation("environment_locks.create")
def create_lock(uow: UnitOfWork, call: Call, message: LockEnvironment) -> EnvironmentLock:
    """Pin an environment."""
    project_id = project_of(call).project_id
    found = uow.environments.get(project_id, message.environment_id)
    environment = require(found, "environment", "environment_not_found")
    if environment.state is EnvironmentState.ARCHIVED:
        raise ConflictError("environment_archived", f"{environment.name!r} version {environment.version} is archived.")
    refuse(
        lock_faults(message, environment.images, call.limits),
        code="invalid_environment_lock",
        remedy="Make the lock with: uv pip compile --generate-hashes, without addresses and options.",
    )
    lock = _build_lock(call, environment, message)
    uow.environment_locks.add(lock)
    edges = lineage.build_edges(lineage.of_lock(lock), project_id=project_id, now=call.now, new_id=call.new_id)
    uow.lineage.add(edges)
    details = {"environment": lock.environment, "version": lock.environment_version, "env_hash": lock.env_hash}
    resource = f"environment_lock:{lock.lock_id}"
    uow.audit.append(audited(call, Action.ENVIRONMENT_LOCKED, resource, details=details))
    return lock


@operation("environment_locks.list")
def list_locks(uow: UnitOfWork, call: Call, message: NamedListQuery) -> Page[EnvironmentLock]:
    """List locks."""
    return paged(uow.environment_locks.page, message, project_of(call).project_id, environment=message.name)


@operation("environment_locks.read")
def read_lock(uow: UnitOfWork, call: Call, message: None) -> EnvironmentLock:  # noqa: ARG001 - as above
    """Return a lock."""
    return by_id(call, uow.environment_locks, "lock", "environment lock", "environment_lock_not_found")


def _build_lock(call: Call, environment: Environment, message: LockEnvironment) -> EnvironmentLock:
    return EnvironmentLock(
        lock_id=LockId(call.new_id()),
        project_id=environment.project_id,
        environment_id=environment.environment_id,
        environment=environment.name,
        environment_version=environment.version,
        python=environment.python,
        platform=message.platform,
        requirements=message.requirements,
        images=message.images,
        limits=environment.limits,
        env_hash=env_hash(
            python=environment.python,
            platform=message.platform,
            requirements=message.requirements,
            images=message.images,
        ),
        created_at=call.now,
        created_by=call.principal.subject,
    )


def _audit(uow: UnitOfWork, call: Call, action: Action, environment: Environment) -> None:
    details = {"name": environment.name, "version": environment.version}
    uow.audit.append(audited(call, action, f"environment:{environment.environment_id}", details=details))
