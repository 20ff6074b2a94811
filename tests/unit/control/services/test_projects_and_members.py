# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Projects and their members: the first administrator, the last one, and roles that hold at once."""

from __future__ import annotations

import pytest

from animus_contracts.audit import first_fault
from animus_contracts.datasets import CreateDataset
from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.pages import AuditListQuery, ComparisonListQuery, ListQuery, NamedListQuery, RunListQuery
from animus_contracts.projects import CreateProject, ProjectState, PutRoleBinding, Role, SubjectType, UpdateProject
from animus_contracts.runs import CodeRef, SubmitRun
from animus_control.domain.errors import AnimusError, ConflictError, InvalidError, MissingError
from tests.unit.control.services.desk import ADA, ED, NOBODY, VIC, Desk

PUT = "role_bindings.put"
LISTS = {ListQuery, NamedListQuery, RunListQuery, AuditListQuery, ComparisonListQuery}
CODE = CodeRef(repository="https://git.example.org/a.git", commit="0a" * 20, path="a.ipynb")


def a_role(subject: str, role: Role, kind: SubjectType = SubjectType.USER) -> PutRoleBinding:
    return PutRoleBinding(subject_type=kind, subject=subject, role=role)


def test_creator_becomes_administrator(desk: Desk) -> None:
    desk.do(ADA, "projects.create", CreateProject(name="demo"))

    (binding,) = desk.do(ADA, "role_bindings.list", ListQuery(), project="demo").items
    assert (binding.subject_type, binding.subject, binding.role) == ("user", "ada", "admin")


@pytest.mark.parametrize("name", ["", "ab", "Demo", "demo_1", "-demo", "demo-", "de--mo", "1demo", "a" * 31, "demo\n"])
def test_project_name_is_a_slug(desk: Desk, name: str) -> None:
    with pytest.raises(InvalidError) as caught:
        desk.do(ADA, "projects.create", CreateProject(name=name))

    assert [fault.path for fault in caught.value.faults] == ["$.name"]


def test_name_is_given_once(desk: Desk) -> None:
    desk.project()

    with pytest.raises(ConflictError) as caught:
        desk.do(ADA, "projects.create", CreateProject(name="demo"))

    assert caught.value.code == "project_name_exists"
    assert desk.actions().count("project.created") == 1


def test_change_counts_a_version_and_leaves_out_what_was_not_said(desk: Desk) -> None:
    desk.project()
    desk.do(ADA, "projects.update", UpdateProject(labels={"a": "b"}), project="demo", if_match=1)

    project = desk.do(ADA, "projects.update", UpdateProject(description="d"), project="demo", if_match=2)

    assert (project.version, project.description, project.labels) == (3, "d", {"a": "b"})
    assert desk.do(VIC, "projects.read", project="demo") == project


@pytest.mark.parametrize(("version", "code"), [(None, "precondition_required"), (2, "precondition_failed")])
def test_change_needs_the_version_that_was_read(desk: Desk, version: int | None, code: str) -> None:
    desk.project()

    with pytest.raises(AnimusError) as caught:
        desk.do(ADA, "projects.update", UpdateProject(description="d"), project="demo", if_match=version)

    assert caught.value.code == code
    assert "project.updated" not in desk.actions()


def test_archive_is_undone_only_by_unarchiving(desk: Desk) -> None:
    desk.project()
    assert desk.do(ADA, "projects.archive", project="demo").state is ProjectState.ARCHIVED
    assert desk.do(ADA, "projects.unarchive", project="demo").state is ProjectState.ACTIVE
    assert desk.actions()[-2:] == ["project.archived", "project.unarchived"]


def test_role_holds_at_once_and_is_gone_at_once(desk: Desk) -> None:
    desk.project()
    binding = desk.do(ADA, PUT, a_role("eve", Role.VIEWER), project="demo")
    assert desk.do(NOBODY, "projects.read", project="demo").name == "demo"

    desk.do(ADA, "role_bindings.delete", project="demo", binding=binding.binding_id)

    with pytest.raises(MissingError):
        desk.do(NOBODY, "projects.read", project="demo")
    assert desk.actions()[-3:] == ["rbac.role_binding_stored", "rbac.role_binding_deleted", "access.denied"]


def test_second_role_replaces_the_first(desk: Desk) -> None:
    desk.project()
    desk.do(ADA, PUT, a_role("vic", Role.EDITOR), project="demo")

    items = desk.do(ADA, "role_bindings.list", ListQuery(), project="demo").items
    assert [item.role for item in items if item.subject == "vic"] == [Role.EDITOR]


def test_last_administrator_can_neither_leave_nor_step_down(desk: Desk) -> None:
    desk.project()
    items = desk.do(ADA, "role_bindings.list", ListQuery(), project="demo").items
    (admin,) = (item for item in items if item.role is Role.ADMIN)

    for operation, message, path in (
        ("role_bindings.delete", None, {"binding": admin.binding_id}),
        (PUT, a_role("ada", Role.VIEWER), {}),
    ):
        with pytest.raises(ConflictError) as caught:
            desk.do(ADA, operation, message, project="demo", **path)
        assert caught.value.code == "last_admin"

    assert desk.do(ADA, "role_bindings.list", ListQuery(), project="demo").items == items


@pytest.mark.parametrize(
    "message",
    [*(a_role(subject, Role.VIEWER) for subject in ("", " ed", "e\u202ed", "x" * 256)),
     a_role("animus:demo:admin", Role.ADMIN, SubjectType.GROUP)],
)  # fmt: skip
def test_misleading_subject_gets_no_role(desk: Desk, message: PutRoleBinding) -> None:
    desk.project()

    with pytest.raises(InvalidError):
        desk.do(ADA, PUT, message, project="demo")


def test_binding_of_another_project_cannot_be_deleted(desk: Desk) -> None:
    desk.project("alpha")
    desk.project()
    other = desk.do(ADA, "role_bindings.list", ListQuery(), project="alpha").items[0]

    with pytest.raises(MissingError):
        desk.do(ADA, "role_bindings.delete", project="demo", binding=other.binding_id)


def test_bad_cursor_is_the_callers_mistake(desk: Desk) -> None:
    desk.project()
    within = ("{schedule}", "{pipeline")  # what is below another thing is refused for the want of that one first
    lists = [
        endpoint
        for endpoint in ENDPOINTS
        if endpoint.query in LISTS and endpoint.project_scoped and not any(part in endpoint.path for part in within)
    ]
    desk.do(ED, "datasets.create", CreateDataset(name="wine"), project="demo")
    run = desk.submit(SubmitRun(code=CODE, environment_lock_id=desk.lock().lock_id))

    for endpoint in lists:
        query = endpoint.query(cursor="not-ours")
        with pytest.raises(InvalidError) as caught:
            desk.do(ADA, endpoint.operation, query, project="demo", dataset="wine", run=run.run_id)
        assert caught.value.code == "invalid_query"


def test_log_of_all_this_is_one_chain(desk: Desk) -> None:
    desk.project()
    desk.do(ED, "identity.read")

    events = desk.do(ADA, "audit_chain.read", ListQuery()).items

    assert first_fault(events) is None
    assert [event.sequence for event in events] == [1, 2, 3]
