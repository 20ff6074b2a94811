# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The store of projects and role bindings keeps what the port promises, on each engine."""

from __future__ import annotations

import pytest

from animus_contracts.identifiers import BindingId, ProjectId
from animus_contracts.projects import ProjectState, Role, RoleBinding, SubjectType
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import NOW, OTHER_ID, PROJECT_ID, WHO, a_project, changed, identifier, write


def a_binding(number: int, subject: str, role: Role = Role.VIEWER, **more: object) -> RoleBinding:
    binding = RoleBinding(
        binding_id=BindingId(identifier(number)),
        project_id=PROJECT_ID,
        subject_type=SubjectType.USER,
        subject=subject,
        role=role,
        created_at=NOW,
        created_by=WHO,
    )
    return changed(binding, **more)


@pytest.mark.parametrize("reference", [PROJECT_ID, "alpha"], ids=["id", "name"])
def test_project_is_found_by_id_and_by_name_as_it_was_stored(database: StoredDatabase, reference: str) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    assert database.read(lambda uow: uow.projects.get(reference)) == a_project()


def test_project_name_is_taken_once(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    with pytest.raises(AlreadyExistsError) as caught:
        write(database, lambda uow: uow.projects.add(a_project(OTHER_ID)))
    assert caught.value.constraint == "uq_projects_name"


def test_project_changes_only_at_the_expected_version(database: StoredDatabase) -> None:
    new = changed(a_project(), description="new", labels={}, state=ProjectState.ARCHIVED, version=2)
    write(database, lambda uow: uow.projects.add(a_project()))
    answers = [
        write(database, lambda uow, v=version: uow.projects.compare_and_set(new, expected_version=v))
        for version in (2, 1, 1)
    ]
    assert answers == [False, True, False]
    assert database.read(lambda uow: uow.projects.get("alpha")) == new


def test_projects_are_listed_by_name_across_pages_and_only_those_asked_for(database: StoredDatabase) -> None:
    names = ["delta", "alpha", "echo", "bravo", "charlie"]
    projects = {name: a_project(ProjectId(identifier(number)), name) for number, name in enumerate(names)}
    for project in projects.values():
        write(database, lambda uow, p=project: uow.projects.add(p))
    only = [projects[name].project_id for name in names if name != "bravo"]

    def walk(cursor: str | None) -> list[str]:
        page = database.read(lambda uow: uow.projects.page(limit=2, cursor=cursor, name=None, only=only))
        return [project.name for project in page.items] + (walk(page.next_cursor) if page.next_cursor else [])

    assert walk(None) == ["alpha", "charlie", "delta", "echo"]
    assert database.read(lambda uow: uow.projects.page(limit=2, cursor=None, name=None, only=[])).items == []
    assert database.read(lambda uow: uow.projects.page(limit=2, cursor=None, name="echo", only=None)).items == [
        projects["echo"]
    ]
    assert [project.name for project in database.read(lambda uow: uow.projects.named(only))] == [
        "alpha", "charlie", "delta", "echo",
    ]  # fmt: skip


def test_binding_replaces_the_one_of_the_same_subject_and_no_other(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    first, group = a_binding(1, "ann"), a_binding(2, "ann", subject_type=SubjectType.GROUP)
    second = a_binding(3, "ann", Role.ADMIN)
    for binding in (first, group, second):
        write(database, lambda uow, b=binding: uow.role_bindings.put(b))
    assert database.read(lambda uow: uow.role_bindings.page(PROJECT_ID, limit=9, cursor=None)).items == [second, group]
    assert database.read(lambda uow: uow.role_bindings.count_admins(PROJECT_ID)) == 1


def test_binding_counts_for_its_subject_alone_and_not_after_its_deletion(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    write(database, lambda uow: uow.projects.add(a_project(OTHER_ID, "bravo")))
    ann, ops = a_binding(1, "ann"), a_binding(2, "ops", subject_type=SubjectType.GROUP, project_id=OTHER_ID)
    for binding in (ann, ops, a_binding(3, "ops")):
        write(database, lambda uow, b=binding: uow.role_bindings.put(b))
    subjects = [("user", "ann"), ("group", "ops")]
    found = database.read(lambda uow: uow.role_bindings.of_subjects(subjects))
    assert sorted(found, key=lambda binding: binding.binding_id) == [ann, ops]
    assert database.read(lambda uow: uow.role_bindings.of_subjects(subjects, project_id=OTHER_ID)) == [ops]
    assert database.read(lambda uow: uow.role_bindings.of_subjects([])) == []
    write(database, lambda uow: uow.role_bindings.delete(PROJECT_ID, ann.binding_id))
    assert database.read(lambda uow: uow.role_bindings.of_subjects(subjects)) == [ops]
    assert database.read(lambda uow: uow.role_bindings.get(PROJECT_ID, ann.binding_id)) is None
