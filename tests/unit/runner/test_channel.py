# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""User code may log metrics and artifacts, and nothing it says does anything else."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from animus_runner.channel import MAX_LINE, Channel, RefusedRequestError, answer


class Notes:
    """A recorder that notes what it gets."""

    def __init__(self) -> None:
        self.metrics: list[tuple[str, int, float]] = []
        self.artifacts: list[tuple[str, str]] = []
        self.seeds: list[int] = []

    def log_metric(self, name: str, step: int, value: float) -> None:
        self.metrics.append((name, step, value))

    def log_artifact(self, name: str, path: str) -> None:
        if path == "refuse":
            raise RefusedRequestError("outside", "not there")
        self.artifacts.append((name, path))

    def log_seed(self, number: int) -> None:
        self.seeds.append(number)


def test_a_metric_and_an_artifact_are_recorded_and_acknowledged() -> None:
    notes = Notes()
    assert answer(b'{"type":"metric","name":"loss","step":3,"value":1}', notes) == b'{"ok":true}\n'
    assert answer(b'{"type":"artifact","name":"m.pkl","path":"/o/m.pkl"}', notes) == b'{"ok":true}\n'
    assert (notes.metrics, notes.artifacts) == ([("loss", 3, 1.0)], [("m.pkl", "/o/m.pkl")])


def test_a_seed_is_noted() -> None:
    notes = Notes()
    assert answer(b'{"type":"seed","number":-7}', notes) == b'{"ok":true}\n'
    assert notes.seeds == [-7]


HOSTILE = [
    b'{"type":"seed","number":9007199254740992}',
    b'{"type":"seed","number":1.5}',
    b'{"type":"seed","number":"7"}',
    b'{"type":"artifact","name":"..","path":"a"}',
    b'{"type":"artifact","name":".","path":"a"}',
    b"",
    b"\n",
    b"null",
    b"[]",
    b"{",
    b'{"type":"verdict","state":"succeeded"}',
    b'{"type":"end"}',
    b'{"type":"metric","name":"a b","step":0,"value":1}',
    b'{"type":"metric","name":"","step":0,"value":1}',
    b'{"type":"metric","name":"loss\\n","step":0,"value":1}',
    b'{"type":"metric","name":"' + b"x" * 65 + b'","step":0,"value":1}',
    b'{"type":"metric","name":"../x","step":-1,"value":1}',
    b'{"type":"metric","name":"loss","step":-1,"value":1}',
    b'{"type":"metric","name":"loss","step":1.5,"value":1}',
    b'{"type":"metric","name":"loss","step":99999999999999999999,"value":1}',
    b'{"type":"metric","name":"loss","step":0,"value":NaN}',
    b'{"type":"metric","name":"loss","step":0,"value":1e999}',
    b'{"type":"metric","name":"loss","step":0,"value":"1"}',
    b'{"type":"metric","name":"loss","step":0,"value":1,"run_id":"other"}',
    b'{"type":"metric","name":"loss","value":1}',
    b'{"type":"artifact","name":"a/b","path":"/x"}',
    b'{"type":"artifact","name":"a"}',
    b"\xff\xfe",
]


@pytest.mark.parametrize("line", HOSTILE)
def test_anything_else_is_refused_and_recorded_nowhere(line: bytes) -> None:
    notes = Notes()
    reply = msgspec.json.decode(answer(line, notes))
    assert reply["error"]["code"] == "invalid_request"
    assert (notes.metrics, notes.artifacts) == ([], [])


def test_the_recorders_refusal_is_told_with_its_code() -> None:
    reply = msgspec.json.decode(answer(b'{"type":"artifact","name":"a","path":"refuse"}', Notes()))
    assert reply == {"error": {"code": "outside", "message": "not there"}}


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def client(tmp_path: Path, notes: Notes) -> Iterator[socket.socket]:
    with Channel(tmp_path / "c", notes), socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(5.0)
        connection.connect(str(tmp_path / "c"))
        yield connection


def test_several_requests_are_answered_on_one_connection(client: socket.socket, notes: Notes) -> None:
    client.sendall(
        b'{"type":"metric","name":"a","step":0,"value":1}\n{"type":"metric","name":"b","step":0,"value":2}\n'
    )
    with client.makefile("rb") as replies:
        assert [replies.readline(), replies.readline()] == [b'{"ok":true}\n'] * 2
    assert [name for name, _, _ in notes.metrics] == ["a", "b"]


def test_a_line_without_end_is_cut_off(client: socket.socket) -> None:
    client.sendall(b"x" * (MAX_LINE + 1))
    with client.makefile("rb") as replies:
        assert b"too_long" in replies.readline()
        assert replies.read() == b""


def test_the_channel_closes_while_a_kernel_keeps_its_connection(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as connection:
        with Channel(tmp_path / "c", Notes()):
            connection.connect(str(tmp_path / "c"))
        with socket.socket(socket.AF_UNIX) as late, pytest.raises(OSError, match="refused"):
            late.connect(str(tmp_path / "c"))
