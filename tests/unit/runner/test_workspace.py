# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Inputs are the bytes that were bound, read-only, and lie where the plan's name says and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from animus_contracts.datasets import FileEntry, content_digest
from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.identifiers import DatasetVersionId
from animus_contracts.plans import PlannedInput
from animus_contracts.runs import FailureReason
from animus_runner.exits import FailedError
from animus_runner.objects import Objects
from animus_runner.workspace import Workspace, materialise


class Shelf:
    """A source of objects that counts what is fetched."""

    def __init__(self, *contents: bytes) -> None:
        self.objects = {digest_bytes(content): content for content in contents}
        self.fetched: list[Digest] = []

    @contextmanager
    def fetch_input(self, digest: Digest) -> Iterator[Iterator[bytes]]:
        self.fetched.append(digest)
        yield iter([self.objects[digest]])


def planned(name: str, files: dict[str, bytes]) -> PlannedInput:
    entries = [
        FileEntry(path=path, digest=digest_bytes(content), size_bytes=len(content)) for path, content in files.items()
    ]
    return PlannedInput(
        name=name, version_id=DatasetVersionId("v"), content_digest=content_digest(entries), files=entries
    )


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "run").mkdir()
    return Workspace.prepare(tmp_path / "run")


def placed(workspace: Workspace, shelf: Shelf, *inputs: PlannedInput) -> dict[str, bytes]:
    materialise(list(inputs), workspace.inputs, Objects(workspace.run.parent / "objects"), shelf)
    found = (path for path in workspace.inputs.rglob("*") if path.is_file())
    return {path.relative_to(workspace.inputs).as_posix(): path.read_bytes() for path in found}


def test_every_file_of_every_input_is_placed_read_only(workspace: Workspace) -> None:
    shelf = Shelf(b"a", b"b", b"c")
    inputs = [planned("train", {"a.csv": b"a", "deep/b.csv": b"b"}), planned("test", {"c.csv": b"c"})]
    found = placed(workspace, shelf, *inputs)
    assert found == {"train/a.csv": b"a", "train/deep/b.csv": b"b", "test/c.csv": b"c"}
    assert {path.stat().st_mode & 0o222 for path in workspace.inputs.rglob("*")} == {0}


def test_bytes_that_are_cached_are_not_fetched_again(workspace: Workspace, tmp_path: Path) -> None:
    shelf = Shelf(b"a")
    placed(workspace, shelf, planned("train", {"a.csv": b"a"}))
    Objects(tmp_path / "objects").place(digest_bytes(b"a"), tmp_path / "again", shelf)
    assert (tmp_path / "again").read_bytes() == b"a"
    assert len(shelf.fetched) == 1


def test_a_cached_byte_that_changed_is_noticed_and_fetched_again(workspace: Workspace, tmp_path: Path) -> None:
    shelf, objects = Shelf(b"good"), Objects(tmp_path / "objects")
    placed(workspace, shelf, planned("train", {"a.csv": b"good"}))
    cached = objects.path(digest_bytes(b"good"))
    cached.chmod(0o644)
    cached.write_bytes(b"evil")
    objects.place(digest_bytes(b"good"), tmp_path / "again", shelf)
    assert (tmp_path / "again").read_bytes() == b"good"
    assert len(shelf.fetched) == 2


def test_bytes_that_changed_at_the_source_fail_the_run_as_input_and_are_not_kept(
    workspace: Workspace, tmp_path: Path
) -> None:
    shelf = Shelf(b"good")
    shelf.objects[digest_bytes(b"good")] = b"evil"
    with pytest.raises(FailedError, match="not the ones that were bound") as caught:
        placed(workspace, shelf, planned("train", {"a.csv": b"good"}))
    assert caught.value.failure.reason is FailureReason.INPUT
    assert [path for path in (tmp_path / "objects").rglob("*") if path.is_file()] == []


def test_a_list_of_files_that_was_not_bound_fails_the_run(workspace: Workspace) -> None:
    honest, other = planned("train", {"a.csv": b"a"}), planned("train", {"a.csv": b"b"})
    forged = PlannedInput(
        name="train", version_id=honest.version_id, content_digest=honest.content_digest, files=other.files
    )
    with pytest.raises(FailedError, match="not the one that was bound"):
        placed(workspace, Shelf(b"a", b"b"), forged)


@pytest.mark.parametrize("path", ["../x", "/etc/x", "a/../../x", "", "a//b", "a\0b", ".git/config", "a/./b", "a\nb"])
def test_a_path_that_could_leave_its_folder_fails_the_run(workspace: Workspace, path: str) -> None:
    with pytest.raises(FailedError, match="acceptable name"):
        placed(workspace, Shelf(b"a"), planned("train", {path: b"a"}))


@pytest.mark.parametrize("name", ["..", "a/b", "", "-x", "1a"])
def test_an_input_with_a_hostile_name_fails_the_run(workspace: Workspace, name: str) -> None:
    with pytest.raises(FailedError, match="cannot be used"):
        placed(workspace, Shelf(b"a"), planned(name, {"a.csv": b"a"}))


def test_a_file_that_is_also_a_folder_fails_the_run(workspace: Workspace) -> None:
    with pytest.raises(FailedError, match="both a file and a folder"):
        placed(workspace, Shelf(b"a", b"b"), planned("train", {"a": b"a", "a/b": b"b"}))
