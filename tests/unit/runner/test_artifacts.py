# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Only regular files of the run's own folders become artifacts, as they were, each under one name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.runs import FailureReason
from animus_runner.artifacts import (
    MAX_ARTIFACTS,
    NAMES_FILE,
    Logged,
    Produced,
    collect_outputs,
    distinct,
    logged_in,
    media_type,
    undelivered,
)
from animus_runner.channel import RefusedRequestError


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    (tmp_path / "outputs").mkdir()
    return tmp_path / "outputs"


@pytest.fixture
def logged(tmp_path: Path, outputs: Path) -> Logged:
    (tmp_path / "logged").mkdir()
    return Logged(tmp_path / "logged", {Path("/seen"): outputs}, max_bytes=1000)


def test_a_logged_file_is_what_it_was_when_it_was_logged(logged: Logged, outputs: Path) -> None:
    (outputs / "deep").mkdir()
    (outputs / "deep" / "m.pkl").write_bytes(b"then")
    logged.keep("model", "/seen/deep/m.pkl")
    (outputs / "deep" / "m.pkl").write_bytes(b"later")
    [produced] = logged.produced()
    assert (produced.name, produced.path.read_bytes()) == ("model", b"then")


def test_logged_files_are_found_by_another_process_and_a_torn_note_costs_one(
    logged: Logged, outputs: Path, tmp_path: Path
) -> None:
    notes = tmp_path / "logged" / NAMES_FILE
    for name in ("first", "torn", "last"):
        (outputs / name).write_text(name)
        logged.keep(name, f"/seen/{name}")
        if name == "torn":
            notes.write_bytes(notes.read_bytes()[:-5])
    found = [(file.name, file.kind, file.path.read_text()) for file in logged_in(tmp_path / "logged")]
    assert found == [("first", ArtifactKind.LOGGED, "first"), ("last", ArtifactKind.LOGGED, "last")]
    assert logged_in(tmp_path / "nothing") == []


def test_the_last_file_of_a_name_counts(logged: Logged, outputs: Path) -> None:
    for content in (b"1", b"2"):
        (outputs / "m").write_bytes(content)
        logged.keep("m", "/seen/m")
    assert [produced.path.read_bytes() for produced in logged.produced()] == [b"2"]


def test_links_folders_pipes_and_ways_out_are_refused(logged: Logged, outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    (outputs / "link").symlink_to(tmp_path / "secret")
    (outputs / "way").symlink_to(tmp_path)
    (outputs / "folder").mkdir()
    os.mkfifo(outputs / "pipe")
    paths = ["link", "way/secret", "folder", "pipe", "missing", "../secret", "folder/../../secret", "", "a\0b"]
    for path in [*(f"/seen/{path}" for path in paths), "/etc/passwd", "relative", str(tmp_path / "secret")]:
        with pytest.raises(RefusedRequestError):
            logged.keep("x", path)
    assert logged.produced() == []


def test_a_file_that_is_too_large_is_refused(logged: Logged, outputs: Path) -> None:
    (outputs / "m").write_bytes(b"x" * 1001)
    with pytest.raises(RefusedRequestError, match="at most 1000 bytes"):
        logged.keep("m", "/seen/m")


def test_every_regular_file_of_the_outputs_folder_is_an_output_and_links_are_not(outputs: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("canary")
    (outputs / "b").mkdir()
    for name in ("b/model.pkl", "a.csv"):
        (outputs / name).write_text(name)
    (outputs / "link").symlink_to(tmp_path / "secret")
    (outputs / "way").symlink_to(tmp_path)
    os.mkfifo(outputs / "pipe")
    found, failure = collect_outputs(outputs)
    assert failure is None
    assert [(produced.name, produced.kind) for produced in found] == [
        ("a.csv", ArtifactKind.OUTPUT),
        ("b/model.pkl", ArtifactKind.OUTPUT),
    ]


def test_a_declared_output_that_was_not_written_fails_the_run(outputs: Path) -> None:
    (outputs / "a.csv").write_text("1")
    found, _ = collect_outputs(outputs)
    assert undelivered(["a.csv"], found) is None
    failure = undelivered(["model.pkl", "a.csv"], found)
    assert failure is not None
    assert failure.reason is FailureReason.USER_CODE
    assert "did not write the declared output 'model.pkl'" in failure.summary


def test_more_files_than_a_run_may_have_fail_it(outputs: Path) -> None:
    for number in range(MAX_ARTIFACTS + 1):
        (outputs / str(number)).touch()
    found, failure = collect_outputs(outputs)
    assert len(found) == MAX_ARTIFACTS
    assert failure is not None
    assert "more than 1000 files" in failure.summary


@pytest.mark.parametrize("name", [b"a\nb", b"\xff", b"back\\slash", b"a\xe2\x80\xaeb", b"tab\t"])
def test_a_file_whose_name_cannot_be_an_artifacts_fails_the_run_and_the_others_stay(outputs: Path, name: bytes) -> None:
    (outputs / "a.csv").write_text("1")
    (outputs / os.fsdecode(b"b" + name)).write_text("2")
    found, failure = collect_outputs(outputs)
    assert [produced.name for produced in found] == ["a.csv"]
    assert failure is not None
    assert failure.reason is FailureReason.USER_CODE
    assert failure.summary.isascii()


def test_a_file_that_is_both_logged_and_an_output_is_kept_once(tmp_path: Path) -> None:
    for name, content in {"same": b"1", "other": b"2", "copy": b"1"}.items():
        (tmp_path / name).write_bytes(content)
    output = Produced(name="m", kind=ArtifactKind.OUTPUT, path=tmp_path / "same")
    twin = Produced(name="m", kind=ArtifactKind.LOGGED, path=tmp_path / "copy")
    changed = Produced(name="m", kind=ArtifactKind.LOGGED, path=tmp_path / "other")
    assert distinct([output], [twin]) == [output]
    assert [produced.name for produced in distinct([output], [changed])] == ["m", "logged/m"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.ipynb", "application/x-ipynb+json"),
        ("a.PNG", "image/png"),
        ("a.json", "application/json"),
        ("model", "application/octet-stream"),
        ("a.unknownx", "application/octet-stream"),
    ],
)
def test_media_types_follow_the_files_name(name: str, expected: str) -> None:
    assert media_type(name) == expected
