# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The real process: it starts by its settings, serves, and stops in order."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from animus_control.api.authentication import hash_token
from tests.api.conftest import EXECUTOR_TOKEN, NO_TLS


def environment(folder: Path) -> dict[str, str]:
    return {
        "PATH": "/usr/bin:/bin",
        "ANIMUS_DATABASE_URL": f"sqlite:///{folder / 'animus.db'}",
        "ANIMUS_OBJECTS_URL": (folder / "objects").as_uri(),
        "ANIMUS_EXECUTORS": f"local=sha256:{hash_token(EXECUTOR_TOKEN)}",
        "ANIMUS_LISTEN": "127.0.0.1:0",
        "JUPYTERHUB_API_URL": "http://127.0.0.1:9/hub/api",
        "JUPYTERHUB_SERVICE_PREFIX": "/services/animus/",
    }


@pytest.fixture
def process(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    command = [sys.executable, "-m", "animus_control"]
    with subprocess.Popen(command, env=environment(tmp_path), stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        line = started.stderr.readline()
        yield started, json.loads(line)["address"]
        started.kill()


def test_it_serves_and_a_sigterm_ends_waiting_calls_and_then_the_process(
    process: tuple[subprocess.Popen[str], str],
) -> None:
    started, address = process
    assert httpx.get(address + "readyz", verify=NO_TLS).json() == {"status": "ready", "failing": []}
    answers: list[httpx.Response] = []

    def poll() -> None:
        headers = {"Authorization": f"Bearer {EXECUTOR_TOKEN}"}
        answers.append(
            httpx.post(address + "api/v1/leases", json={"wait_seconds": 30}, headers=headers, timeout=30, verify=NO_TLS)
        )

    polling = threading.Thread(target=poll)
    polling.start()
    polling.join(1)
    assert polling.is_alive(), "it waits for a lease"
    started.send_signal(signal.SIGTERM)
    polling.join(10)
    assert started.wait(10) == 0
    assert answers[0].json() == {"lease": None}


def edge_of(started: subprocess.Popen[str]) -> int:
    """Return the id of the process that speaks HTTP."""
    children = Path(f"/proc/{started.pid}/task/{started.pid}/children").read_text()
    [edge] = children.split()
    return int(edge)


def test_a_killed_writer_takes_the_edge_with_it_and_frees_the_port(
    process: tuple[subprocess.Popen[str], str], tmp_path: Path
) -> None:
    started, address = process
    assert httpx.get(address + "readyz", verify=NO_TLS).status_code == 200
    edge = edge_of(started)
    started.kill()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{edge}").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not Path(f"/proc/{edge}").exists()
    same = {"ANIMUS_LISTEN": address.split("/")[2]}
    command = [sys.executable, "-m", "animus_control"]
    with subprocess.Popen(command, env=environment(tmp_path) | same, stderr=subprocess.PIPE, text=True) as next_one:
        assert next_one.stderr is not None
        assert json.loads(next_one.stderr.readline())["address"] == address
        next_one.terminate()
        assert next_one.wait(10) == 0


def test_a_killed_edge_ends_the_control_plane_so_that_it_is_started_again(
    process: tuple[subprocess.Popen[str], str],
) -> None:
    started, _ = process
    os.kill(edge_of(started), signal.SIGKILL)
    assert started.wait(10) == 1


def test_an_interrupt_from_the_keyboard_reaches_both_and_ends_both_in_order(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "animus_control"]
    with subprocess.Popen(
        command, env=environment(tmp_path), stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as started:
        assert started.stderr is not None
        started.stderr.readline()
        os.killpg(started.pid, signal.SIGINT)
        assert started.wait(10) == 0
        assert "Traceback" not in started.stderr.read()


def test_a_port_that_stays_taken_and_a_database_that_cannot_be_opened_each_end_it_with_one_line(
    tmp_path: Path,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        wrong = {
            "cannot listen on": {"ANIMUS_LISTEN": f"127.0.0.1:{taken.getsockname()[1]}"},
            "the database cannot be opened": {"ANIMUS_DATABASE_URL": "sqlite:////proc/animus/animus.db"},
        }
        for words, changed in wrong.items():
            ended = subprocess.run(
                [sys.executable, "-m", "animus_control"],
                env=environment(tmp_path) | changed, capture_output=True, text=True, check=False, timeout=60,
            )  # fmt: skip
            assert ended.returncode == 1
            assert ended.stderr.count("\n") == 1, ended.stderr
            assert words in ended.stderr


@pytest.mark.parametrize("changed", [{"ANIMUS_DATABASE": "x"}, {"ANIMUS_DATABASE_URL": ""}])
def test_a_wrong_setting_ends_it_with_one_line(tmp_path: Path, changed: dict[str, str]) -> None:
    command = [sys.executable, "-m", "animus_control"]
    ended = subprocess.run(
        command, env=environment(tmp_path) | changed, capture_output=True, text=True, check=False, timeout=30
    )
    assert ended.returncode == 2
    assert ended.stderr.count("\n") == 1
    assert next(iter(changed)) in ended.stderr
