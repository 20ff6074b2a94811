# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An installation is stopped for good: its Hub with what that started, and what a killed Hub has left.

Rules kept here:

* the process to stop is the one that holds the installation's lock and has written its number there;
* a workspace without a Hub is known by the installation's own folder in its environment, and by nothing else.
"""

from __future__ import annotations

import fcntl
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from animus_hub.installation import LOOPBACK, Installation

STOP_SECONDS = 60.0
"""How long a Hub may take to stop; workspaces end with it."""

LEFT_SECONDS = 15.0
"""How long what a Hub started may take to notice that it is gone."""


def stop_hub(place: Installation) -> bool:
    """Stop the Hub, and by force when it does not; say whether one ran."""
    if not is_locked(place):
        return False
    _signal(place, signal.SIGTERM)
    if not _until(lambda: not is_locked(place), STOP_SECONDS):
        _signal(place, signal.SIGKILL)
        _until(lambda: not is_locked(place), LEFT_SECONDS)
    return True


def end_workspaces(place: Installation) -> int:
    """End workspaces whose Hub is gone, and wait until nothing of it listens; return how many processes they were."""
    found = list(_workspace_processes(place))
    for process in found:
        with suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
    if not _until(lambda: not list(_workspace_processes(place)), LEFT_SECONDS):
        for process in _workspace_processes(place):
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    _until(lambda: not any(map(_listens, place.recorded_ports().values())), LEFT_SECONDS)
    return len(found)


def is_locked(place: Installation) -> bool:
    """Say whether a Hub holds the installation."""
    try:
        with place.lock_file.open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _signal(place: Installation, number: signal.Signals) -> None:
    with suppress(ProcessLookupError, ValueError):  # it is gone, or has not written its number yet
        process = os.pidfd_open(int(place.lock_file.read_text(encoding="ascii")))
        try:
            if is_locked(place):  # so the number is its holder's
                signal.pidfd_send_signal(process, number)
        finally:
            os.close(process)


def _workspace_processes(place: Installation) -> Iterator[int]:
    marker = f"ANIMUS_REPOSITORIES={place.repositories}".encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with suppress(OSError):  # it is gone, or another user's
                if marker in (entry / "environ").read_bytes().split(b"\0"):
                    yield int(entry.name)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
