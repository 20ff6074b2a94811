# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every operation is entered here: who calls, in which project, with which right. What is not granted is refused.

A project that does not exist and one the caller has no role in give the same answer, so that names cannot be probed.
A refusal is itself a fact: the edge records it with :func:`record_denial` in a unit of work of its own, because the
refused one is rolled back.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from animus_contracts.audit import Action
from animus_contracts.endpoint import Caller, Endpoint
from animus_contracts.identifiers import ProjectId
from animus_contracts.projects import Project, ProjectState, Role
from animus_control.domain.errors import ConflictError, DeniedError, UnseenError
from animus_control.domain.identity import Principal, PrincipalKind
from animus_control.domain.permissions import best_roles, capped, is_allowed, is_platform_admin, subjects_of
from animus_control.services.calls import Call, audited
from animus_control.services.operations import OPERATIONS
from animus_control.services.ports import UnitOfWork

CALLERS: dict[Caller, frozenset[PrincipalKind]] = {
    Caller.ANYONE: frozenset(PrincipalKind),
    Caller.USER: frozenset({PrincipalKind.USER, PrincipalKind.SERVICE}),
    Caller.EXECUTOR: frozenset({PrincipalKind.EXECUTOR}),
    Caller.RUN: frozenset({PrincipalKind.RUN}),
}
NO_PROJECT = "There is no such project, or you have no role in it."
ASK_ADMIN = "Ask an administrator of the project for a role that allows it."
ASK_TO_UNARCHIVE = "Ask an administrator of the project to unarchive it."


class RefusedError(DeniedError):
    """A refusal that leaves records of its own.

    Attributes:
        record: Stores them; called in a new unit of work.
    """

    def __init__(self, code: str, detail: str, *, record: Callable[[UnitOfWork], None], **more: Any) -> None:
        super().__init__(code, detail, **more)
        self.record = record


def perform(uow: UnitOfWork, call: Call, endpoint: Endpoint, message: Any) -> Any:
    """Authorise a call and run its operation.

    Args:
        uow: The unit of work.
        call: The call as it came from the edge.
        endpoint: What is called.
        message: Decoded body or query.
    """
    return OPERATIONS[endpoint.operation](uow, enter(uow, call, endpoint), message)


def enter(uow: UnitOfWork, call: Call, endpoint: Endpoint) -> Call:
    """Authorise a call.

    Returns:
        The call with its project and the caller's effective role in it.

    Raises:
        DeniedError: ``forbidden`` for the wrong kind of credential or a role too low.
        UnseenError: If the project does not exist or the caller has no role in it.
        ConflictError: ``project_archived`` for a write in an archived project.
    """
    _check_caller(call, endpoint)
    if not endpoint.project_scoped:
        _check_platform(call, endpoint)
        return call
    project, role = _project_of(uow, call)
    _check_platform(call, endpoint)  # only now: to a stranger the project is not there, whatever is asked of it
    if endpoint.permission is None or not is_allowed(role, endpoint.permission):
        detail = f"Your role {role.value!r} in this project does not include {endpoint.permission!s}."
        raise DeniedError("forbidden", detail, remedy=ASK_ADMIN)
    if endpoint.is_write and not endpoint.writes_archived and project.state is ProjectState.ARCHIVED:
        detail = f"The project {project.name!r} is archived: it can be read only."
        raise ConflictError("project_archived", detail, remedy=ASK_TO_UNARCHIVE)
    return replace(call, project=project, role=role)


def effective_roles(uow: UnitOfWork, principal: Principal) -> dict[ProjectId, tuple[Project, Role]]:
    """Return the projects a principal has a role in by binding, each with the effective role."""
    best = best_roles(uow.role_bindings.of_subjects(subjects_of(principal)))
    projects = uow.projects.named(list(best)) if best else []
    roles = {
        project.project_id: (project, capped(best[project.project_id], principal, project.name)) for project in projects
    }
    return {key: (project, role) for key, (project, role) in roles.items() if role is not None}


def record_denial(uow: UnitOfWork, call: Call, endpoint: Endpoint, error: DeniedError) -> None:
    """Store a refusal; run it in a new unit of work, after the refused one was rolled back."""
    if isinstance(error, RefusedError):
        error.record(uow)
        return
    project = uow.projects.get(call.path["project"]) if endpoint.project_scoped else None
    details = {"operation": endpoint.operation, "code": error.code, "permission": endpoint.permission or ""}
    resource = f"operation:{endpoint.operation}"
    scope = project.project_id if project else None
    uow.audit.append(audited(call, Action.ACCESS_DENIED, resource, project_id=scope, details=details, denied=True))


def _check_caller(call: Call, endpoint: Endpoint) -> None:
    principal = call.principal
    if principal.kind not in CALLERS[endpoint.caller]:
        raise DeniedError("forbidden", f"This needs the credential of a {endpoint.caller.value}.")
    if endpoint.caller is Caller.RUN:
        claim = principal.run
        if claim is None or call.path.get("execution") != claim.execution_id:
            raise DeniedError("forbidden", "This token belongs to another execution.")


def _check_platform(call: Call, endpoint: Endpoint) -> None:
    if endpoint.platform_admin and not is_platform_admin(call.principal):
        raise DeniedError("forbidden", "Only an administrator of the platform may do this.")


def _project_of(uow: UnitOfWork, call: Call) -> tuple[Project, Role]:
    principal = call.principal
    project = uow.projects.get(call.path["project"])
    # Asked for even when there is no project: the work done, and so the time taken, is the same.
    scope = project.project_id if project else ProjectId(call.path["project"])
    bindings = uow.role_bindings.of_subjects(subjects_of(principal), project_id=scope)
    if project is not None:
        role = capped(best_roles(bindings).get(project.project_id), principal, project.name)
        if role is not None:
            return project, role
    raise UnseenError("not_found", NO_PROJECT)
