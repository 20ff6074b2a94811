# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A supervisor knows whether an executor is there, and goes on without one for its patience and no longer."""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from queue import Queue

from animus_runner.presence import Presence

GREETING = b"it is me\n"


class Watched:
    """A presence and when it gave up."""

    def __init__(self, folder: Path, patience: float) -> None:
        self.address = folder / "control"
        self.abandoned = threading.Event()
        self.told: Queue[float] = Queue()
        self.presence = Presence(
            self.address, GREETING, patience=patience, on_renewed=self.told.put, on_abandoned=self.abandoned.set
        )

    def visit(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(5.0)
        connection.connect(str(self.address))
        assert connection.recv(100) == GREETING
        return connection


def test_whoever_connects_hears_who_is_there_and_the_socket_is_the_owners(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 60.0)
    with watched.presence, watched.visit(), watched.visit():
        assert watched.address.stat().st_mode & 0o077 == 0
    assert not watched.abandoned.is_set()


def test_a_supervisor_that_nobody_comes_to_gives_up_when_its_patience_is_over(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 0.3)
    started = time.monotonic()
    with watched.presence:
        assert watched.abandoned.wait(5.0)
    assert time.monotonic() - started >= 0.3


def test_an_executor_that_stays_is_never_waited_for(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 0.2)
    with watched.presence, watched.visit():
        assert not watched.abandoned.wait(0.8)


def test_the_patience_begins_anew_when_the_last_executor_has_gone(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 0.5)
    with watched.presence:
        first, second = watched.visit(), watched.visit()
        first.close()
        assert not watched.abandoned.wait(0.7)
        second.close()
        assert not watched.abandoned.wait(0.3)
        with watched.visit():
            assert not watched.abandoned.wait(0.7)
        assert watched.abandoned.wait(5.0)


def test_what_a_visitor_says_is_no_order(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 60.0)
    with watched.presence, watched.visit() as connection:
        connection.sendall(b'kill\n{"run_token":"x"}\n{"run_token_seconds":1e9,"control_plane":"http://evil"}\n\0\xff')
        with watched.visit() as other:
            other.sendall(b'{"run_token_seconds":1.0}\n')
            assert watched.told.get(timeout=5.0) == 1.0
            assert not watched.abandoned.is_set()


def test_an_executor_that_has_spoken_is_still_there_until_it_goes(tmp_path: Path) -> None:
    watched = Watched(tmp_path, 0.3)
    with watched.presence:
        with watched.visit() as connection:
            connection.sendall(b'{"run_token_seconds":60.0}\n{"run_token_seconds":120.0}\n')
            assert [watched.told.get(timeout=5.0), watched.told.get(timeout=5.0)] == [60.0, 120.0]
            assert not watched.abandoned.wait(0.7)
        assert watched.abandoned.wait(5.0)
