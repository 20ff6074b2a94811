# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What user code says from inside a run, to a supervisor that is played here, and what importing it costs."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import animus
from animus import inside
from animus.errors import AnimusError, OutsideRunError

STANDARD_ONLY = """
import sys, time
before = set(sys.modules)
began = time.perf_counter()
import animus
took = time.perf_counter() - began
animus.is_inside, animus.inputs, animus.log_metric, animus.AnimusError
strangers = {name.partition(".")[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names) - {"animus"}
print(took, sorted(strangers))
"""


class Supervisor:
    """Answers requests over a unix socket and keeps them."""

    def __init__(self, address: Path) -> None:
        self.requests: list[dict[str, Any]] = []
        self.reply: dict[str, Any] | None = {"ok": True}
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(address))
        self._server.listen()
        self._connections: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def connections(self) -> int:
        return len(self._connections)

    def close(self) -> None:
        for connection in (self._server, *self._connections):
            connection.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._connections.append(connection)
            threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection: socket.socket) -> None:
        with connection.makefile("rwb") as stream:
            for line in stream:
                self.requests.append(json.loads(line))
                if self.reply is None:
                    connection.shutdown(socket.SHUT_RDWR)
                    return
                stream.write(json.dumps(self.reply).encode() + b"\n")
                stream.flush()


@pytest.fixture
def supervisor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    played = Supervisor(tmp_path / "s")
    channel = inside.Channel()
    monkeypatch.setattr(inside, "_channel", channel)
    monkeypatch.setattr(inside, "_steps", {})
    monkeypatch.setenv("ANIMUS_RUN_SOCKET", str(tmp_path / "s"))
    yield played
    channel.close()
    played.close()


def test_importing_animus_takes_the_standard_library_only_and_no_time() -> None:
    told = subprocess.run([sys.executable, "-c", STANDARD_ONLY], check=True, capture_output=True, text=True).stdout
    took, strangers = told.split(" ", 1)
    assert strangers.strip() == "[]"
    assert float(took) < 0.02 or os.getloadavg()[0] > 2  # a busy machine measures itself


def test_metrics_count_their_own_steps_over_one_connection(supervisor: Supervisor) -> None:
    animus.log_metric("loss", 0.5)
    animus.log_metric("loss", 0.25)
    animus.log_metric("loss", 0.1, step=10)
    animus.log_metric("loss", 0.05)
    animus.log_metric("accuracy", 1)
    assert [(one["name"], one["step"], one["value"]) for one in supervisor.requests] == [
        ("loss", 0, 0.5), ("loss", 1, 0.25), ("loss", 10, 0.1), ("loss", 11, 0.05), ("accuracy", 0, 1.0),
    ]  # fmt: skip
    assert supervisor.connections == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_not_a_number_is_not_sent(supervisor: Supervisor, value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        animus.log_metric("loss", value)
    assert supervisor.requests == []


def test_a_refusal_raises_with_its_code_and_the_step_is_not_used_up(supervisor: Supervisor) -> None:
    supervisor.reply = {"error": {"code": "bad_name", "message": "names have letters"}}
    with pytest.raises(AnimusError, match="bad_name") as caught:
        animus.log_metric("a b", 1.0)
    assert str(caught.value) == "bad_name: names have letters"
    supervisor.reply = {"ok": True}
    animus.log_metric("a b", 1.0)
    assert supervisor.requests[-1]["step"] == 0


def test_a_supervisor_that_hangs_up_is_an_error_and_not_a_silent_loss(supervisor: Supervisor) -> None:
    supervisor.reply = None
    with pytest.raises(AnimusError, match="supervisor_silent"):
        animus.log_metric("loss", 1.0)
    supervisor.reply = {"ok": True}
    animus.log_metric("loss", 1.0)
    assert supervisor.connections == 2


def test_threads_take_turns(supervisor: Supervisor) -> None:
    threads = [threading.Thread(target=animus.log_metric, args=(f"m{n}", n)) for n in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one["name"] for one in supervisor.requests} == {f"m{n}" for n in range(16)}


def test_artifacts_are_named_after_their_file_and_sent_with_their_full_path(
    supervisor: Supervisor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.bin").write_bytes(b"model")
    monkeypatch.chdir(tmp_path)
    animus.log_artifact("model.bin")
    animus.log_artifact(tmp_path / "model.bin", name="best")
    path = str(tmp_path / "model.bin")
    assert supervisor.requests == [
        {"type": "artifact", "name": "model.bin", "path": path},
        {"type": "artifact", "name": "best", "path": path},
    ]
    with pytest.raises(FileNotFoundError):
        animus.log_artifact("nothing")


def test_inputs_are_a_file_when_there_is_one_and_a_folder_when_there_are_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "inputs"
    for name in ("one/data.csv", "deep/a/b.csv", "many/a.csv", "many/b.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    monkeypatch.setenv("ANIMUS_INPUTS_DIR", str(folder))
    assert dict(animus.inputs) == {
        "one": folder / "one/data.csv", "deep": folder / "deep/a/b.csv", "many": folder / "many",
    }  # fmt: skip
    for name in ("two", "..", "one/..", ""):
        with pytest.raises(KeyError, match="bound: deep, many, one"):
            animus.inputs[name]


def test_outputs_is_the_folder_of_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMUS_OUTPUTS_DIR", str(tmp_path))
    assert animus.outputs == tmp_path


def test_outside_a_run_everything_says_so_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ANIMUS_RUN_ID", "ANIMUS_RUN_SOCKET", "ANIMUS_INPUTS_DIR", "ANIMUS_OUTPUTS_DIR"):
        monkeypatch.delenv(name, raising=False)
    attempts = (
        lambda: animus.log_metric("loss", 1.0),
        lambda: animus.log_artifact("x"),
        lambda: animus.inputs["train"],
        lambda: animus.outputs,
    )
    for attempt in attempts:
        with pytest.raises(OutsideRunError, match="exists only inside a run") as caught:
            attempt()
        assert "\n" not in str(caught.value)
    assert not animus.is_inside()
    assert repr(animus.inputs) == "Inputs(outside a run)"


def test_seeding_repeats_what_random_and_numpy_draw() -> None:
    numpy = pytest.importorskip("numpy")
    draws = []
    for _ in range(2):
        assert animus.seed(7) == 7
        draws.append((random.random(), numpy.random.random()))
    assert draws[0] == draws[1]


def test_seeding_without_a_number_takes_the_runs_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMUS_SEED", "11")
    assert animus.seed() == 11
    monkeypatch.delenv("ANIMUS_SEED")
    with pytest.raises(OutsideRunError, match="exists only inside a run"):
        animus.seed()


def test_a_run_notes_what_was_seeded(supervisor: Supervisor) -> None:
    animus.seed(7)
    assert supervisor.requests == [{"type": "seed", "number": 7}]


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        animus.nothing  # noqa: B018 - reading it is the test
