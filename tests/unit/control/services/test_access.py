# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Entering an operation: who is let in, who is refused, and that a refusal tells nothing and is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest

from animus_contracts.audit import Outcome
from animus_contracts.datasets import CreateDataset
from animus_contracts.endpoint import Caller, Endpoint
from animus_contracts.endpoints import BY_OPERATION, ENDPOINTS
from animus_contracts.pages import NamedListQuery, RunListQuery
from animus_contracts.projects import CreateProject, PutRoleBinding, Role, SubjectType
from animus_control.domain.errors import AnimusError, ConflictError, DeniedError, MissingError
from animus_control.domain.identity import EVERY_PROJECT, SYSTEM, Principal, PrincipalKind
from animus_control.domain.permissions import REQUIRED_ROLE
from animus_control.services import access, catalogue
from tests.unit.control.services.desk import ADA, ED, LOCAL, NOBODY, VIC, Desk, runner_of

KINDS = {
    Caller.USER: {"user", "service"},
    Caller.EXECUTOR: {"executor"},
    Caller.RUN: {"run"},
    Caller.ANYONE: set(PrincipalKind),
}
STREAMED = {"runs.events", "projects.events", "pipelines.events"}


ALLOWED_WHEN_ARCHIVED = {"policies.simulate", "projects.unarchive"}
"""Writes that an archived project allows: one stores nothing, the other makes it writable."""


def entered(desk: Desk, endpoint: Endpoint, who: Principal, **path: str) -> str:
    """Return ``ok`` or the code of the refusal."""
    try:
        call = desk.call(who, **path)
        desk.read(lambda uow: access.enter(uow, call, endpoint))
    except AnimusError as error:
        return error.code
    return "ok"


def test_every_operation_is_registered_or_streamed() -> None:
    assert set(catalogue.OPERATIONS) == set(BY_OPERATION) - STREAMED


def test_each_endpoint_takes_only_its_own_kind_of_credential(desk: Desk) -> None:
    desk.project()
    for endpoint in ENDPOINTS:
        for kind in PrincipalKind:
            who = Principal(name="ada", kind=kind, platform_admin=True, ceiling={EVERY_PROJECT: Role.ADMIN})
            outcome = entered(desk, endpoint, who, project="demo", execution="x")
            is_let_in = kind in KINDS[endpoint.caller] and endpoint.caller is not Caller.RUN
            assert (outcome == "ok") is is_let_in, (endpoint.operation, kind)


def test_each_role_may_do_exactly_what_the_table_says(desk: Desk) -> None:
    desk.project()
    order = [Role.VIEWER, Role.EDITOR, Role.ADMIN]
    for endpoint in (endpoint for endpoint in ENDPOINTS if endpoint.project_scoped):
        assert endpoint.permission is not None
        for who, role in ((VIC, Role.VIEWER), (ED, Role.EDITOR), (ADA, Role.ADMIN)):
            allowed = order.index(role) >= order.index(REQUIRED_ROLE[endpoint.permission])
            assert entered(desk, endpoint, who, project="demo") == ("ok" if allowed else "forbidden")


@pytest.mark.parametrize("who", [NOBODY, replace(VIC, ceiling={}), replace(VIC, ceiling={"other": Role.ADMIN})])
def test_foreign_project_answers_exactly_as_a_missing_one(desk: Desk, who: Principal) -> None:
    desk.project()
    answers = []
    for name in ("demo", "nowhere"):
        with pytest.raises(MissingError) as caught:
            desk.do(who, "projects.read", project=name)
        answers.append((caught.value.code, caught.value.detail, caught.value.remedy, caught.value.extra))

    assert answers[0] == answers[1]


def test_stranger_at_the_door_is_audited_where_the_projects_administrators_look(desk: Desk) -> None:
    project = desk.project()

    with pytest.raises(MissingError):
        desk.do(NOBODY, "runs.list", RunListQuery(), project="demo")

    record = desk.audit(project.project_id)[-1]
    assert (record.action, record.outcome, record.actor) == ("access.denied", Outcome.DENIED, "user:eve")
    assert record.details == {"operation": "runs.list", "code": "not_found", "permission": "run:read"}


def test_role_holds_by_id_and_by_name(desk: Desk) -> None:
    project = desk.project()

    assert desk.do(VIC, "projects.read", project=project.project_id) == desk.do(VIC, "projects.read", project="demo")


def test_group_gives_its_role_to_those_the_identity_provider_names(desk: Desk) -> None:
    desk.project()
    binding = PutRoleBinding(subject_type=SubjectType.GROUP, subject="chemists", role=Role.EDITOR)
    desk.do(ADA, "role_bindings.put", binding, project="demo")

    assert (
        entered(desk, BY_OPERATION["runs.submit"], replace(NOBODY, groups=frozenset({"chemists"})), project="demo")
        == "ok"
    )
    assert (
        entered(
            desk, BY_OPERATION["runs.submit"], replace(NOBODY, groups=frozenset({"animus:demo:admin"})), project="demo"
        )
        == "not_found"
    )


def test_service_does_not_get_the_role_of_a_user_of_its_name(desk: Desk) -> None:
    desk.project()
    service = Principal(name="ed", kind=PrincipalKind.SERVICE, ceiling={EVERY_PROJECT: Role.ADMIN})

    assert entered(desk, BY_OPERATION["projects.read"], service, project="demo") == "not_found"


def test_archived_project_can_be_read_and_not_written(desk: Desk) -> None:
    desk.project()
    desk.do(ADA, "projects.archive", project="demo")
    for endpoint in (endpoint for endpoint in ENDPOINTS if endpoint.project_scoped):
        expected = "ok" if not endpoint.is_write or endpoint.operation in ALLOWED_WHEN_ARCHIVED else "project_archived"
        assert entered(desk, endpoint, ADA, project="demo") == expected, endpoint.operation


def test_refusal_is_audited_with_permission_and_project(desk: Desk) -> None:
    project = desk.project()

    with pytest.raises(DeniedError):
        desk.do(VIC, "datasets.create", CreateDataset(name="wine"), project="demo")

    record = desk.audit(project.project_id)[-1]
    assert (record.action, record.outcome, record.actor) == ("access.denied", Outcome.DENIED, "user:vic")
    assert record.details == {"operation": "datasets.create", "code": "forbidden", "permission": "dataset:write"}


@pytest.mark.parametrize("who", [ED, replace(ADA, ceiling={"demo": Role.ADMIN}), LOCAL, SYSTEM])
def test_only_platform_administrators_create_projects(desk: Desk, who: Principal) -> None:
    with pytest.raises(DeniedError):
        desk.do(who, "projects.create", CreateProject(name="demo"))


def test_run_token_opens_only_its_own_execution(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    endpoint = BY_OPERATION["executions.report"]
    assert entered(desk, endpoint, runner_of(lease), execution=lease.execution_id) == "ok"
    assert entered(desk, endpoint, runner_of(lease), execution="another") == "forbidden"
    assert entered(desk, endpoint, replace(runner_of(lease), run=None), execution=lease.execution_id) == "forbidden"


def test_list_shows_only_projects_with_a_role_within_the_ceiling(desk: Desk) -> None:
    for name in ("alpha", "demo"):
        desk.project(name)
    query = NamedListQuery()

    def names(who: Principal) -> list[str]:
        return [project.name for project in desk.do(who, "projects.list", query).items]

    assert names(ADA) == names(VIC) == ["alpha", "demo"]
    assert names(NOBODY) == []
    assert names(replace(VIC, ceiling={"demo": Role.VIEWER})) == ["demo"]
    assert names(replace(VIC, ceiling={})) == []


def test_identity_tells_effective_roles_under_the_tokens_ceiling(desk: Desk) -> None:
    desk.project()

    identity = desk.do(replace(ED, ceiling={EVERY_PROJECT: Role.VIEWER}), "identity.read")

    assert identity.scopes == ["*:viewer"]
    assert [(membership.project, membership.role) for membership in identity.memberships] == [("demo", Role.VIEWER)]


def test_memberships_are_the_bound_roles_and_for_administrators_only(desk: Desk) -> None:
    desk.project()

    page = desk.do(ADA, "memberships.list", user="ed")

    assert [(item.project, item.role) for item in page.items] == [("demo", Role.EDITOR)]
    with pytest.raises(DeniedError):
        desk.do(ED, "memberships.list", user="ed")


def test_archived_twice_is_refused_and_unarchived_twice_is_harmless(desk: Desk) -> None:
    desk.project()
    desk.do(ADA, "projects.archive", project="demo")
    with pytest.raises(ConflictError):
        desk.do(ADA, "projects.archive", project="demo")

    first = desk.do(ADA, "projects.unarchive", project="demo")
    assert desk.do(ADA, "projects.unarchive", project="demo") == first
