# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Only the process that holds an installation, and workspaces that name its folder, are ever ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from animus_hub.__main__ import main
from animus_hub.installation import Installation
from animus_hub.shutdown import end_workspaces, is_locked, stop_hub

HOLDS = """
import pathlib, sys, time
from animus_hub.__main__ import lock_installation
from animus_hub.installation import Installation
lock_installation(Installation(pathlib.Path(sys.argv[1])))
print("held", flush=True)
time.sleep(300)
"""
SLEEPS = [sys.executable, "-c", "import time; time.sleep(300)"]


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Installation:
    place = Installation(tmp_path / "data")
    place.prepare()
    return place


def test_the_process_that_holds_the_installation_is_stopped(place: Installation) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDS, str(place.data)], stdout=subprocess.PIPE) as hub:
        assert hub.stdout is not None
        assert hub.stdout.readline() == b"held\n"
        assert is_locked(place)
        assert stop_hub(place)
        assert hub.wait(5.0) == -signal.SIGTERM
    assert not is_locked(place)


def test_a_number_in_a_lock_that_nobody_holds_is_nobodys(place: Installation) -> None:
    with subprocess.Popen(SLEEPS) as stranger:
        place.lock_file.write_text(str(stranger.pid))
        assert not stop_hub(place)
        assert stranger.poll() is None
        stranger.kill()


def test_workspaces_of_this_installation_are_ended_and_no_others(place: Installation) -> None:
    def workspace(repositories: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(SLEEPS, env=os.environ | {"ANIMUS_REPOSITORIES": str(repositories)})

    with workspace(place.repositories) as ours, workspace(place.data / "repositories-2") as another:
        assert end_workspaces(place) == 1
        assert ours.wait(5.0) == -signal.SIGTERM
        assert another.poll() is None
        another.kill()


def test_a_folder_without_an_installation_is_left_as_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["down", "--data", str(tmp_path)])
    assert capsys.readouterr().out == f"There is no installation in {tmp_path}.\n"
    assert list(tmp_path.iterdir()) == []
