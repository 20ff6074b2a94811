# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Records are found as they were stored, in their project alone, newest first, page by page."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from animus_contracts.datasets import DatasetFile
from animus_contracts.digests import Digest
from animus_contracts.environments import EnvironmentState
from animus_contracts.identifiers import DatasetVersionId, PolicyId, ProjectId
from animus_contracts.pages import Page
from animus_contracts.policies import Policy, PolicyState
from animus_control.domain.errors import InvalidError
from animus_control.services.repositories import AlreadyExistsError
from animus_control.storage.cursors import encode
from animus_control.storage.database import StoredDatabase
from tests.ports.records_of_a_project import (
    DATASET_ID,
    ENVIRONMENT_ID,
    LOCK_ID,
    NOW,
    OTHER_ID,
    PROJECT_ID,
    SNAPSHOT_ID,
    VERSION_ID,
    WHO,
    a_dataset,
    a_decision,
    a_lock,
    a_project,
    a_snapshot,
    a_version,
    add_surroundings,
    an_environment,
    changed,
    digest,
    identifier,
    write,
)

BAD_CURSORS = ["", "!", "bm90IGpzb24", "W10", encode(3), encode("\x00"), "dHJ1ZQ", "[" * 9000]


def a_policy(number: int, name: str, version: int, state: PolicyState = PolicyState.ACTIVE) -> Policy:
    return Policy(
        policy_id=PolicyId(identifier(number)),
        project_id=PROJECT_ID,
        name=name,
        version=version,
        description="",
        cedar="permit (principal, action, resource);",
        digest=digest("policy"),
        state=state,
        created_at=NOW,
        created_by=WHO,
    )


@pytest.mark.parametrize(
    ("kind", "record_id", "record"),
    [
        ("datasets", DATASET_ID, a_dataset()),
        ("dataset_versions", VERSION_ID, a_version()),
        ("environments", ENVIRONMENT_ID, an_environment()),
        ("environment_locks", LOCK_ID, a_lock()),
        ("policy_snapshots", SNAPSHOT_ID, a_snapshot()),
        ("policy_decisions", a_decision().decision_id, a_decision()),
    ],
    ids=lambda value: value if isinstance(value, str) and "_" in value else "",
)
def test_record_is_found_as_stored_and_in_its_project_alone(
    database: StoredDatabase, kind: str, record_id: str, record: Any
) -> None:
    write(database, add_surroundings)
    write(database, lambda uow: uow.projects.add(a_project(OTHER_ID, "bravo")))
    assert database.read(lambda uow: getattr(uow, kind).get(PROJECT_ID, record_id)) == record
    assert database.read(lambda uow: getattr(uow, kind).get(OTHER_ID, record_id)) is None


def test_record_of_one_project_cannot_refer_to_a_record_of_another(database: StoredDatabase) -> None:
    write(database, add_surroundings)
    write(database, lambda uow: uow.projects.add(a_project(OTHER_ID, "bravo")))
    foreign = changed(a_version(), project_id=OTHER_ID)
    with pytest.raises(RuntimeError, match=r"(?i)foreign key"):
        write(database, lambda uow: uow.dataset_versions.add(foreign))


@pytest.mark.parametrize(
    ("again", "rule"),
    [
        ({"ordinal": 2, "content_digest": digest("other")}, "pk_dataset_versions"),
        ({"version_id": identifier(99), "ordinal": 2}, "uq_dataset_versions_project_id_dataset_id_content_digest"),
        (
            {"version_id": identifier(99), "content_digest": digest("other")},
            "uq_dataset_versions_project_id_dataset_id_ordinal",
        ),
    ],
    ids=["id", "content", "ordinal"],
)
def test_refused_duplicate_names_the_rule(database: StoredDatabase, again: dict[str, Any], rule: str) -> None:
    write(database, add_surroundings)
    with pytest.raises(AlreadyExistsError) as caught:
        write(database, lambda uow: uow.dataset_versions.add(changed(a_version(), **again)))
    assert caught.value.constraint == rule


def test_list_walks_newest_first_over_pages_and_survives_insertions(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    write(database, lambda uow: [uow.datasets.add(a_dataset(n, f"d{n}")) for n in range(10, 15)])
    first = database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=2, cursor=None))
    write(database, lambda uow: uow.datasets.add(a_dataset(20, "new")))

    def walk(page: Page[Any]) -> list[str]:
        names = [dataset.name for dataset in page.items]
        if page.next_cursor is None:
            return names
        cursor = page.next_cursor
        return names + walk(database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=2, cursor=cursor)))

    assert walk(first) == ["d14", "d13", "d12", "d11", "d10"]
    assert database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=6, cursor=None)).next_cursor is None


def test_list_is_filtered_by_what_is_given_and_not_by_what_is_none(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    datasets = [a_dataset(number, name) for number, name in ((10, "wine"), (11, "iris"))]
    write(database, lambda uow: [uow.datasets.add(dataset) for dataset in datasets])

    def names(name: str | None, project_id: ProjectId = PROJECT_ID) -> list[str]:
        page = database.read(lambda uow: uow.datasets.page(project_id, limit=9, cursor=None, name=name))
        return [dataset.name for dataset in page.items]

    assert (names("iris"), names(None), names("none"), names(None, OTHER_ID)) == (["iris"], ["iris", "wine"], [], [])


@pytest.mark.parametrize("cursor", BAD_CURSORS, ids=range(len(BAD_CURSORS)))
def test_bad_cursor_is_a_value_error(database: StoredDatabase, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"):
        database.read(lambda uow: uow.datasets.page(PROJECT_ID, limit=2, cursor=cursor))


def test_newest_is_the_highest_version_even_when_ids_say_otherwise(database: StoredDatabase) -> None:
    write(database, lambda uow: uow.projects.add(a_project()))
    second, first = an_environment(20, version=2), an_environment(21, version=1)
    write(database, lambda uow: [uow.environments.add(each) for each in (second, first)])
    assert database.read(lambda uow: uow.environments.find(PROJECT_ID, name="sklearn")) == second
    assert database.read(lambda uow: uow.environments.find(PROJECT_ID, name="sklearn", version=1)) == first
    assert database.read(lambda uow: uow.environments.find(OTHER_ID, name="sklearn")) is None


def test_environment_is_archived_once(database: StoredDatabase) -> None:
    write(database, add_surroundings)
    answers = [
        write(database, lambda uow: uow.environments.set_state(PROJECT_ID, ENVIRONMENT_ID, EnvironmentState.ARCHIVED))
        for _ in range(2)
    ]
    assert answers == [True, False]
    archived = changed(an_environment(), state=EnvironmentState.ARCHIVED)
    assert database.read(lambda uow: uow.environments.get(PROJECT_ID, ENVIRONMENT_ID)) == archived


def test_newest_policies_are_one_version_of_each_name(database: StoredDatabase) -> None:
    old, new = a_policy(1, "b", 1), a_policy(2, "b", 2, PolicyState.DISABLED)
    other = a_policy(3, "a", 1)
    write(database, lambda uow: uow.projects.add(a_project()))
    write(database, lambda uow: [uow.policies.add(policy) for policy in (old, new, other)])
    assert database.read(lambda uow: uow.policies.newest(PROJECT_ID)) == [other, new]
    assert database.read(lambda uow: uow.policies.newest(OTHER_ID)) == []


def test_text_of_any_script_survives_and_an_unstorable_character_harms_nobody_else(database: StoredDatabase) -> None:
    odd = changed(a_dataset(), description="żółć 🦆 \u0000 end", labels={"\u0000": "\u2028"})
    write(database, lambda uow: uow.projects.add(a_project()))
    write(database, lambda uow: uow.datasets.add(odd))
    assert database.read(lambda uow: uow.datasets.get(PROJECT_ID, DATASET_ID)) == odd
    version = DatasetVersionId("\x00")
    with contextlib.suppress(InvalidError):  # SQLite can look for it, PostgreSQL cannot
        assert database.read(lambda uow: uow.dataset_versions.get(PROJECT_ID, version)) is None


def test_versions_are_found_by_the_bytes_of_a_file_in_their_project_alone(database: StoredDatabase) -> None:
    twice = [changed(entry, path=f"again/{entry.path}") for entry in a_version().files]
    newer = changed(
        a_version(),
        version_id=DatasetVersionId(identifier(99)),
        ordinal=2,
        content_digest=digest("other"),
        files=[*twice, *a_version().files],
    )
    write(database, add_surroundings)
    write(database, lambda uow: (uow.dataset_versions.add(newer), uow.dataset_files.add(newer)))
    wanted = a_version().files[0]

    def page(project: ProjectId, cursor: str | None = None, content: str = wanted.digest) -> Page[DatasetFile]:
        query = {"limit": 1, "cursor": cursor, "digest": Digest(content)}
        return database.read(lambda uow: uow.dataset_files.page(project, **query))

    found = [
        DatasetFile(version_id=each.version_id, dataset="wine", ordinal=each.ordinal, path=path, digest=wanted.digest)
        for each, path in ((newer, min(f"again/{wanted.path}", wanted.path)), (a_version(), wanted.path))
    ]
    first = page(PROJECT_ID)
    assert first.items == found[:1]
    assert page(PROJECT_ID, first.next_cursor) == Page(items=found[1:])
    assert page(OTHER_ID) == page(PROJECT_ID, None, digest("nobody's")) == Page(items=[])
