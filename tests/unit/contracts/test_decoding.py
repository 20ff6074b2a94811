# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Many threads meet one type of message for the first time, all at once: what comes of it decides for the process."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from animus_contracts.decoding import convert, decode_json, json_decoder, msgpack_decoder
from animus_contracts.identifiers import RunId
from animus_contracts.problems import Fault

ROOT = Path(__file__).parents[3]
PROCESSES = 3  # in each, the types are unknown again
MEETING = """
import contextlib, sys, threading
import msgspec
from animus_contracts import decoding
from tests.contracts.messages import messages
from tests.contracts.samples import GOLDEN

THREADS = 8
SAMPLES = [(kind, msgspec.json.decode((GOLDEN / f"{{name}}.json").read_bytes())) for name, kind in messages().items()]
gate = threading.Barrier(THREADS)
ended = []

def meet() -> None:
    for kind, plain in SAMPLES:
        gate.wait()
        with contextlib.suppress(msgspec.ValidationError):  # JSON that is kept raw is in a few, and cannot be converted
            {use}
    ended.append(True)

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=meet) for _ in range(THREADS)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert len(ended) == THREADS
"""


@pytest.mark.parametrize(
    "use",
    [
        "decoding.decode_json(msgspec.json.encode(plain), kind)",
        "decoding.convert(plain, kind)",
        "decoding.msgpack_decoder(kind).decode(msgspec.msgpack.encode(plain))",
    ],
)
def test_threads_that_meet_types_at_one_time_all_live(use: str) -> None:
    command = [sys.executable, "-c", MEETING.format(use=use)]
    for _ in range(PROCESSES):
        said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)

        assert (said.returncode, said.stderr) == (0, "")


def test_a_type_is_worked_out_once() -> None:
    assert json_decoder(list[Fault]) is json_decoder(list[Fault])
    assert msgpack_decoder(list[Fault]) is msgpack_decoder(list[Fault])
    assert json_decoder(list[Fault]) is not msgpack_decoder(list[Fault])


def test_values_are_of_their_type() -> None:
    assert decode_json('{"path": "$.a", "code": "c", "message": "b"}', Fault) == Fault(
        path="$.a", code="c", message="b"
    )
    assert convert({"a": "1"}, dict[str, int], strict=False) == {"a": 1}
    assert decode_json(b'["x"]', list[RunId]) == [RunId("x")]


@pytest.mark.parametrize("strict", [True, False])
def test_values_of_another_type_are_refused(strict: bool) -> None:
    with pytest.raises(msgspec.ValidationError):
        convert({"a": "b"}, dict[str, int], strict=strict)
    with pytest.raises(msgspec.ValidationError):
        decode_json(b"[1]", list[str])
    with pytest.raises(msgspec.DecodeError):
        decode_json(b"[1", list[int])
