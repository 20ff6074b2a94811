# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Files of a dataset version: paths that stay inside a folder, bytes that are there."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.datasets import FileEntry
from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.paths import path_fault
from animus_control.domain.datasets import file_faults, held_faults
from animus_control.domain.limits import Limits

LIMITS = Limits(dataset_files=3)


def a_file(path: str = "a.csv", digest: str = digest_bytes(b"a"), size: int = 1) -> FileEntry:
    return FileEntry(path=path, digest=Digest(digest), size_bytes=size)


def test_sound_files_are_accepted() -> None:
    assert file_faults([a_file("a.csv"), a_file("b/a.csv"), a_file("b/c.csv")], LIMITS) == []


@pytest.mark.parametrize(
    ("files", "path", "code"),
    [
        ([], "$.files", "wrong_length"),
        ([a_file(f"{number}") for number in range(4)], "$.files", "wrong_length"),
        ([a_file("a"), a_file("a")], "$.files", "duplicate_path"),
        ([a_file("a"), a_file("a/b")], "$.files", "duplicate_path"),
        ([a_file("a"), a_file("../b")], "$.files[1].path", "invalid_path"),
        ([a_file("/etc/passwd")], "$.files[0].path", "invalid_path"),
        ([a_file(digest="a" * 64)], "$.files[0].digest", "invalid_digest"),
        ([a_file(digest="sha256:" + "A" * 64)], "$.files[0].digest", "invalid_digest"),
        ([a_file(size=-1)], "$.files[0].size_bytes", "invalid_size"),
    ],
)
def test_unsound_file_is_refused_at_its_place(files: list[FileEntry], path: str, code: str) -> None:
    assert [(fault.path, fault.code) for fault in file_faults(files, LIMITS)] == [(path, code)]


@given(st.text(alphabet="a./\\:~\x00\u202e \n", max_size=12))
def test_accepted_path_never_leaves_its_folder_on_any_system(path: str) -> None:
    if path_fault(path) is not None:
        return
    assert not PurePosixPath(path).is_absolute()
    assert ".." not in PurePosixPath(path).parts
    windows = PureWindowsPath(path)
    assert not windows.drive
    assert not windows.root
    assert ".." not in windows.parts


@pytest.mark.parametrize("path", ["a", "a/b.csv", "plot 12:30.png", "größe.csv", ".hidden", "a..b", "~", "-rf"])
def test_ordinary_name_is_accepted(path: str) -> None:
    assert path_fault(path) is None


@pytest.mark.parametrize(
    ("held", "faults"),
    [
        pytest.param({digest_bytes(b"a"): 1}, [], id="held"),
        pytest.param({}, [("$.files[0].digest", "not_uploaded")], id="not-uploaded"),
        pytest.param({digest_bytes(b"a"): 2}, [("$.files[0].size_bytes", "wrong_size")], id="wrong-size"),
    ],
)
def test_version_is_made_of_bytes_the_project_holds(held: dict[Digest, int], faults: list[tuple[str, str]]) -> None:
    assert [(fault.path, fault.code) for fault in held_faults([a_file()], held)] == faults
