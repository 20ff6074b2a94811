# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Datasets, environments, locks and policies: versions that follow each other and never change."""

from __future__ import annotations

from dataclasses import replace

import pytest

from animus_contracts.datasets import CreateDataset, CreateDatasetVersion, DatasetFile, FileEntry
from animus_contracts.digests import Digest
from animus_contracts.environments import DefineEnvironment, EnvironmentState, LockEnvironment
from animus_contracts.identifiers import EnvironmentId
from animus_contracts.lineage import Predicate
from animus_contracts.pages import DigestQuery, LineageQuery, ListQuery, NamedListQuery, Page
from animus_contracts.policies import PolicyState, PutPolicy
from animus_control.domain.errors import AnimusError, ConflictError, InvalidError, MissingError
from animus_control.services.objects import Content
from tests.unit.control.services.desk import ADA, ED, REQUIREMENTS, VIC, Desk

DEFINITION = DefineEnvironment(name="sklearn", python="3.11", requirements=["scikit-learn"])
PERMIT = "permit (principal, action, resource);"


def test_versions_are_numbered_and_listed_newest_first(desk: Desk) -> None:
    desk.project()
    first = desk.version()
    second_body = desk.upload(b"more")
    entries = [FileEntry(path="b", digest=second_body.digest, size_bytes=4), *first.files]

    second = desk.do(ED, "dataset_versions.create", CreateDatasetVersion(files=entries), project="demo", dataset="wine")

    listed = desk.do(VIC, "dataset_versions.list", ListQuery(), project="demo", dataset="wine").items
    assert [(item.ordinal, item.size_bytes) for item in listed] == [(2, 12), (1, 8)]
    assert [entry.path for entry in second.files] == ["b", "wine.csv"]
    assert desk.do(VIC, "dataset_versions.read", project="demo", version=first.version_id) == first
    assert desk.do(VIC, "datasets.read", project="demo", dataset=first.dataset_id).name == "wine"


def test_a_version_is_found_by_the_bytes_of_any_of_its_files_and_by_nothing_else(desk: Desk) -> None:
    desk.project()
    version = desk.version()
    digest = version.files[0].digest

    page = desk.do(VIC, "dataset_versions.find", DigestQuery(digest=digest), project="demo")

    found = DatasetFile(version_id=version.version_id, dataset="wine", ordinal=1, path="wine.csv", digest=digest)
    assert page == Page(items=[found])
    of_the_version = DigestQuery(digest=version.content_digest)
    assert desk.do(VIC, "dataset_versions.find", of_the_version, project="demo") == Page(items=[])
    for operation in ("dataset_versions.find", "artifacts.find"):
        with pytest.raises(InvalidError, match="64 lower-case hexadecimal digits"):
            desk.do(VIC, operation, DigestQuery(digest=Digest("sha256:short")), project="demo")


def test_same_content_is_refused_and_the_version_that_has_it_named(desk: Desk) -> None:
    desk.project()
    first = desk.version()

    with pytest.raises(ConflictError) as caught:
        desk.do(ED, "dataset_versions.create", CreateDatasetVersion(files=first.files), project="demo", dataset="wine")

    assert caught.value.code == "duplicate_content"
    assert caught.value.extra == {"version_id": first.version_id, "ordinal": 1}


def test_dataset_name_is_given_once_per_project(desk: Desk) -> None:
    for project in ("alpha", "demo"):
        desk.project(project)
        desk.do(ED, "datasets.create", CreateDataset(name="wine"), project=project)

    with pytest.raises(ConflictError) as caught:
        desk.do(ED, "datasets.create", CreateDataset(name="wine"), project="demo")

    assert caught.value.code == "dataset_name_exists"


def test_bytes_of_another_project_are_not_the_projects_own(desk: Desk) -> None:
    desk.project("alpha")
    stored = desk.upload(project="alpha")
    desk.project()
    desk.do(ED, "datasets.create", CreateDataset(name="wine"), project="demo")
    entry = FileEntry(path="wine.csv", digest=stored.digest, size_bytes=stored.size_bytes)

    with pytest.raises(InvalidError) as caught:
        desk.do(ED, "dataset_versions.create", CreateDatasetVersion(files=[entry]), project="demo", dataset="wine")

    assert caught.value.code == "object_not_found"


def test_upload_is_audited_once(desk: Desk) -> None:
    desk.project()
    desk.upload()
    desk.upload()

    assert desk.actions().count("object.stored") == 1


def test_download_names_a_file_of_the_version_and_is_audited(desk: Desk) -> None:
    desk.project()
    version = desk.version()
    path = {"project": "demo", "version": version.version_id, "digest": version.files[0].digest}

    entry = desk.do(VIC, "dataset_versions.download", **path)

    [wine] = version.files
    assert entry == Content(digest=wine.digest, size_bytes=wine.size_bytes, name=wine.path)
    assert desk.audit()[-1].details == {"path": "wine.csv", "digest": entry.digest}
    with pytest.raises(MissingError):
        desk.do(VIC, "dataset_versions.download", **path | {"digest": "sha256:" + "0" * 64})


@pytest.mark.parametrize(
    ("operation", "path", "code"),
    [
        ("datasets.read", {"dataset": "wine"}, "not_found"),
        ("dataset_versions.read", {"version": "x"}, "dataset_version_not_found"),
        ("environments.read", {"environment": "x"}, "environment_not_found"),
        ("environment_locks.read", {"lock": "x"}, "environment_lock_not_found"),
        ("policy_snapshots.read", {"snapshot": "x"}, "not_found"),
        ("policy_decisions.read", {"decision": "x"}, "not_found"),
        ("runs.read", {"run": "x"}, "not_found"),
    ],
)
def test_what_is_not_there_is_missing(desk: Desk, operation: str, path: dict[str, str], code: str) -> None:
    desk.project()

    with pytest.raises(MissingError) as caught:
        desk.do(VIC, operation, project="demo", **path)

    assert caught.value.code == code


def test_everything_of_another_project_is_missing(desk: Desk) -> None:
    desk.project("alpha")
    version, lock = desk.version(project="alpha"), desk.lock(project="alpha")
    desk.project()

    for operation, path in (
        ("datasets.read", {"dataset": version.dataset_id}),
        ("dataset_versions.read", {"version": version.version_id}),
        ("environments.read", {"environment": lock.environment_id}),
        ("environment_locks.read", {"lock": lock.lock_id}),
    ):
        with pytest.raises(MissingError):
            desk.do(ED, operation, project="demo", **path)


def test_environment_changes_by_versions_that_name_what_they_supersede(desk: Desk) -> None:
    desk.project()
    first = desk.do(ED, "environments.define", DEFINITION, project="demo")

    second = desk.do(ED, "environments.define", DEFINITION, project="demo")

    assert (first.version, first.supersedes) == (1, None)
    assert (second.version, second.supersedes) == (2, first.environment_id)
    assert desk.do(VIC, "environments.read", project="demo", environment="sklearn") == second
    assert desk.do(VIC, "environments.list", NamedListQuery(name="sklearn"), project="demo").items == [second, first]


def test_archived_environment_is_not_locked_any_more(desk: Desk) -> None:
    desk.project()
    lock = desk.lock()
    archived = desk.do(ED, "environments.archive", project="demo", environment="sklearn")
    assert archived.state is EnvironmentState.ARCHIVED
    assert desk.do(ED, "environments.archive", project="demo", environment="sklearn") == archived

    locking = LockEnvironment(environment_id=archived.environment_id, requirements=REQUIREMENTS)
    with pytest.raises(ConflictError) as caught:
        desk.do(ED, "environment_locks.create", locking, project="demo")

    assert caught.value.code == "environment_archived"
    assert desk.actions().count("environment.archived") == 1
    assert desk.do(VIC, "environment_locks.list", NamedListQuery(name="sklearn"), project="demo").items == [lock]


@pytest.mark.parametrize(
    ("environment", "requirements", "code"),
    [("unknown", REQUIREMENTS, "environment_not_found"), ("", "numpy", "invalid_environment_lock")],
)
def test_unsound_lock_is_refused(desk: Desk, environment: str, requirements: str, code: str) -> None:
    desk.project()
    defined = desk.do(ED, "environments.define", DEFINITION, project="demo")
    environment_id = EnvironmentId(environment or defined.environment_id)

    message = LockEnvironment(environment_id=environment_id, requirements=requirements)
    with pytest.raises(AnimusError) as caught:
        desk.do(ED, "environment_locks.create", message, project="demo")

    assert caught.value.code == code


def test_locks_of_equal_content_have_equal_hashes(desk: Desk) -> None:
    desk.project()

    assert desk.lock().env_hash == desk.lock().env_hash


def test_policy_changes_by_versions(desk: Desk) -> None:
    desk.project()
    desk.do(ADA, "policies.put", PutPolicy(name="mine", cedar=PERMIT), project="demo")

    second = desk.do(
        ADA, "policies.put", PutPolicy(name="mine", cedar=PERMIT, state=PolicyState.DISABLED), project="demo"
    )

    assert (second.version, second.state) == (2, PolicyState.DISABLED)
    listed = desk.do(VIC, "policies.list", NamedListQuery(name="mine"), project="demo").items
    assert [policy.version for policy in listed] == [2, 1]


def test_lineage_is_walked_in_both_directions_as_far_as_asked(desk: Desk) -> None:
    desk.project()
    version = desk.version()
    run = desk.submit(desk.submission(datasets={"train": version.version_id}))
    root = f"dataset:{version.dataset_id}"

    near = desk.do(VIC, "lineage.read", LineageQuery(root=root, depth=1), project="demo")
    far = desk.do(VIC, "lineage.read", LineageQuery(root=root, depth=3), project="demo")

    assert [edge.predicate for edge in near.edges] == [Predicate.HAS_VERSION]
    assert {(edge.subject, edge.predicate) for edge in far.edges if edge.subject.startswith("run:")} == {
        (f"run:{run.run_id}", Predicate.USED), (f"run:{run.run_id}", Predicate.RAN_IN),
        (f"run:{run.run_id}", Predicate.BUILT_FROM),
    }  # fmt: skip
    assert not far.truncated


def test_lineage_says_when_it_was_cut(desk: Desk) -> None:
    desk.project()
    version = desk.version()
    desk.submit(desk.submission(datasets={"train": version.version_id}))
    desk.limits = replace(desk.limits, lineage_edges=2)

    graph = desk.do(VIC, "lineage.read", LineageQuery(root=f"dataset:{version.dataset_id}", depth=5), project="demo")

    assert (len(graph.edges), graph.truncated) == (2, True)


@pytest.mark.parametrize("root", ["", "run", "run:", "run:x y", "RUN:1", "run:" + "x" * 65])
def test_lineage_starts_at_a_named_entity(desk: Desk, root: str) -> None:
    desk.project()

    with pytest.raises(InvalidError):
        desk.do(VIC, "lineage.read", LineageQuery(root=root), project="demo")
