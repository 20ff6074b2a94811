# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Bytes up and down: hashed on this side, checked on both, never kept when they are not what they should be."""

from __future__ import annotations

from pathlib import Path

import httpx
import msgspec
import pytest

from animus.api.datasets import collect, digest_of_file
from animus.api.runs import Artifacts
from animus.client import Client
from animus.errors import AnimusError, RefusedError, UnreachableError, UsageError
from animus.session import Session
from animus.transport import Transport
from animus_contracts.artifacts import Artifact, ArtifactKind
from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.environments import Resources
from tests.fakes.puppet import Puppet
from tests.unit.client.test_story import NOW


def test_a_folder_becomes_a_version_whose_files_keep_their_paths(client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "wine"
    (folder / "part").mkdir(parents=True)
    (folder / ".hidden").mkdir()
    (folder / "a.csv").write_text("a")
    (folder / "part" / "b.csv").write_text("bb")
    (folder / ".hidden" / "c.csv").write_text("c")
    (folder / "link.csv").symlink_to("/etc/passwd")
    version = client.datasets.add("wine", [folder])
    assert [(file.path, file.size_bytes, file.digest) for file in version.files] == [
        ("a.csv", 1, digest_bytes(b"a")), ("part/b.csv", 2, digest_bytes(b"bb")),
    ]  # fmt: skip


def test_the_same_content_is_the_same_version_and_new_content_the_next(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("a")
    first = client.datasets.add("wine", [tmp_path / "a.csv"])
    assert client.datasets.add("wine", [tmp_path / "a.csv"]) == first
    (tmp_path / "a.csv").write_text("b")
    second = client.datasets.add("wine", [tmp_path / "a.csv"])
    assert (first.ordinal, second.ordinal) == (1, 2)
    assert client.datasets.version("wine") == second
    assert client.datasets.version("wine@1") == first
    with pytest.raises(RefusedError, match="its newest version is wine@2"):
        client.datasets.version("wine@7")
    with pytest.raises(UsageError, match="bad_dataset"):
        client.datasets.version("wine@latest")


def test_bytes_that_change_between_hashing_and_sending_make_no_version(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "a.csv"
    file.write_text("before")
    wrong = digest_of_file(file)
    file.write_text("afters")
    monkeypatch.setattr("animus.api.datasets.digest_of_file", lambda _: wrong)
    with pytest.raises(AnimusError, match="artifact_hash_mismatch"):
        client.datasets.add("wine", [file])
    assert list(client.datasets.versions("wine")) == []


def test_a_file_that_grew_since_it_was_measured_is_no_hanging_upload(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("animus.transport.ATTEMPTS", 1)
    file = tmp_path / "a.csv"
    file.write_text("0123456789")
    real = digest_of_file(file)

    def grow(path: Path) -> Digest:
        path.write_text("0123")
        return real

    monkeypatch.setattr("animus.api.datasets.digest_of_file", grow)
    with pytest.raises(AnimusError):
        client.datasets.add("wine", [file])


def test_an_empty_file_is_a_file(client: Client, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    assert client.datasets.add("wine", [tmp_path / "empty"]).files[0].digest == digest_bytes(b"")


def test_two_files_of_one_name_and_no_file_at_all_are_refused(tmp_path: Path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.csv").touch()
    with pytest.raises(UsageError, match="same_path_twice"):
        collect([tmp_path / "x" / "a.csv", tmp_path / "y" / "a.csv"])
    for paths in ([], [tmp_path / "missing"]):
        with pytest.raises(UsageError):
            collect(paths)


def test_an_artifact_comes_down_with_its_digest(client: Client, puppet: Puppet, tmp_path: Path) -> None:
    artifact = run_with_artifact(client, puppet, b"model" * 100_000)
    target = client.artifacts.download(artifact, tmp_path / "model.bin")
    assert digest_of_file(target) == artifact.digest


def test_an_artifact_with_other_bytes_is_not_kept_and_does_not_replace_what_is_there(tmp_path: Path) -> None:
    artifact = Artifact(
        artifact_id="a", project_id="p", run_id="r", attempt=1, name="model.bin", kind=ArtifactKind.OUTPUT,
        media_type="x/y", digest=digest_bytes(b"model"), size_bytes=5, created_at=NOW,
    )  # fmt: skip
    target = tmp_path / "model.bin"
    target.write_bytes(b"mine")
    before = set(tmp_path.iterdir())
    for answer in (httpx.Response(200, content=b"MODEL"), httpx.ReadError("cut"), httpx.Response(404, json={})):
        with pytest.raises(AnimusError):
            artifacts_behind(answer).download(artifact, target)
        assert set(tmp_path.iterdir()) == before
        assert target.read_bytes() == b"mine"


def artifacts_behind(answer: httpx.Response | Exception) -> Artifacts:
    def give(_: httpx.Request) -> httpx.Response:
        if isinstance(answer, Exception):
            raise answer
        return answer

    http = httpx.Client(transport=httpx.MockTransport(give))
    return Artifacts(Transport(Session(url="http://x", token="t"), http=http), "p")


def run_with_artifact(client: Client, puppet: Puppet, content: bytes) -> Artifact:
    from tests.unit.client.test_transport import SUBMISSION  # noqa: PLC0415 - the two share one submission

    lock = next(client.environments.locks())
    submission = msgspec.structs.replace(SUBMISSION, environment_lock_id=lock.lock_id, resources=Resources())
    run = client.runs.submit(submission)
    puppet.play(files={"model.bin": content})
    return client.artifacts.named(run.run_id, "model.bin")


def test_following_resumes_after_what_it_has_seen_when_the_stream_breaks(
    client: Client, puppet: Puppet, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact = run_with_artifact(client, puppet, b"model")
    whole = list(client.runs.events(artifact.run_id))
    stream = client.runs._stream
    broken = []

    def breaking(run: str, after: int) -> object:
        for count, event in enumerate(stream(run, after)):
            if count == 2:
                broken.append(after)
                raise UnreachableError("unreachable", "cut")
            yield event

    monkeypatch.setattr(client.runs, "_stream", breaking)
    monkeypatch.setattr("animus.following.pause", lambda _: 0.0)
    assert list(client.runs.events(artifact.run_id)) == whole
    assert len(broken) == (len(whole) - 1) // 2
    assert list(client.runs.events(artifact.run_id, after=whole[-1].event_id)) == []
