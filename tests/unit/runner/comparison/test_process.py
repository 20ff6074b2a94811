# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The comparison runs in a process of its own, which answers in one document or says in one line why it cannot."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from animus_contracts.comparisons import ComparisonRequest, Match, OutputComparison
from animus_contracts.decoding import decode_json
from animus_runner import sandbox
from tests.unit.runner.comparison.sides import a_request, code, stream


def ask(request: bytes) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "animus_runner.comparison"], input=request, capture_output=True, check=False, timeout=100
    )


def test_a_request_is_answered(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    files = ({"a.csv": "x\n1.5\n"}, {"a.csv": "x\n1.50000000000001\n"})
    request = a_request(tmp_path, [code("f()", stream("a"))], [code("f()", stream("b"))], files)
    done = ask(msgspec.json.encode(request))
    assert (done.returncode, done.stderr) == (0, b"")
    answer = decode_json(done.stdout, OutputComparison)
    assert answer.verdict is Match.DIFFERENT
    assert [artifact.match for artifact in answer.artifacts] == [Match.EQUIVALENT]
    assert "+  b" in answer.cells[0].diff
    assert answer.notes == ([] if not sandbox.missing() else [answer.notes[0]])


def test_parquet_is_read_where_nothing_else_can_be(tmp_path: Path) -> None:
    files: list[dict[str, str | bytes]] = []
    for level in (1, 9):
        table = io.BytesIO()
        pq.write_table(pa.table({"x": [1.5] * 1000}), table, compression="gzip", compression_level=level)
        files.append({"a.parquet": table.getvalue()})
    request = a_request(tmp_path, [code("f()")], [code("f()")], (files[0], files[1]))
    done = ask(msgspec.json.encode(request))
    assert (done.returncode, done.stderr) == (0, b"")
    [artifact] = decode_json(done.stdout, OutputComparison).artifacts
    assert (artifact.match, artifact.detail) == (Match.EQUIVALENT, "equal values")


@pytest.mark.skipif(bool(sandbox.missing()), reason="this machine has no sandbox")
def test_what_the_request_does_not_name_is_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("s3cr3t")
    request = a_request(tmp_path, [code("f()")], [code("f()")], ({"a.txt": "x"}, {"a.txt": "y"}))
    left = Path(str(request.left.artifacts[0].path))
    left.unlink()
    left.symlink_to(secret)
    done = ask(msgspec.json.encode(request))
    assert done.returncode == 1
    assert b"s3cr3t" not in done.stdout + done.stderr


@pytest.mark.parametrize("request_text", [b"", b"{}", b"[" * 100_000, b'{"left": 1}'])
def test_a_request_that_cannot_be_read_is_refused_in_one_line(request_text: bytes) -> None:
    done = ask(request_text)
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"comparison: not a request that can be read: ")
    assert done.stderr.count(b"\n") == 1


def test_a_file_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    request = a_request(tmp_path, [code("f()")], [code("f()")], ({"a.txt": "x"}, {"a.txt": "y"}))
    Path(str(request.left.artifacts[0].path)).unlink()
    done = ask(msgspec.json.encode(ComparisonRequest(left=request.left, right=request.right)))
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.count(b"\n") == 1
    assert done.stderr.startswith(b"comparison: FileNotFoundError")
