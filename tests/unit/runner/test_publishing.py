# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is settled is written once, and delivered as it is by whoever delivers it."""

from __future__ import annotations

from pathlib import Path

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.assignments import AttemptResult
from animus_contracts.digests import Digest, digest_bytes
from animus_contracts.executions import Verdict
from animus_runner.artifacts import Produced
from animus_runner.exits import UnreachableError
from animus_runner.publishing import deliver, records, settle, settled_in
from animus_runner.redact import Redactor

SUCCEEDED = AttemptResult(verdict=Verdict.SUCCEEDED)


def test_files_are_uploaded_by_digest_and_repeated_while_nobody_answers(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_bytes(b"a,b\n")
    held: dict[Digest, bytes] = {}
    failures = [UnreachableError("away")]

    def put(digest: Digest, path: Path) -> None:
        if failures:
            raise failures.pop()
        held[digest] = path.read_bytes()

    settled = settle(tmp_path, SUCCEEDED, [Produced(name="m.csv", kind=ArtifactKind.OUTPUT, path=tmp_path / "m.csv")])
    result = deliver(settled, put)
    digest = digest_bytes(b"a,b\n")
    expected = ArtifactEntry(name="m.csv", kind=ArtifactKind.OUTPUT, media_type="text/csv", digest=digest, size_bytes=4)
    assert result == AttemptResult(verdict=Verdict.SUCCEEDED, artifacts=[expected])
    assert held == {digest: b"a,b\n"}


def test_what_was_settled_is_found_by_another_process_and_what_was_not_is_nothing(tmp_path: Path) -> None:
    assert settled_in(tmp_path) is None
    settled = settle(tmp_path, SUCCEEDED, [])
    assert settled_in(tmp_path) == settled
    assert [path.name for path in tmp_path.iterdir()] == ["settled.json"]


def test_what_was_never_written_is_no_record(tmp_path: Path) -> None:
    assert records(tmp_path, "n.ipynb", Redactor([])) == []
