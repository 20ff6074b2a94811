# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What every run needs is loaded before the first one is forked: what is missing would be loaded by each of them."""

from __future__ import annotations

import subprocess
import sys

AFTER_THE_FORK = """
import contextlib, sys
import animus_runner.parent
from animus_contracts.run_events import ReportEvents
from animus_runner.artifacts import media_type
from animus_runner.control_plane import ControlPlane
from animus_runner.exits import UnreachableError
loaded = set(sys.modules)
control_plane = ControlPlane("http://127.0.0.1:9", "execution", "token")
with contextlib.suppress(UnreachableError):
    control_plane.report(ReportEvents(epoch=1, events=[]))
control_plane.close()
media_type("result.csv")
print(sorted(set(sys.modules) - loaded))
"""


def test_a_supervisor_loads_nothing_for_its_first_call() -> None:
    asked = [sys.executable, "-c", AFTER_THE_FORK]
    assert subprocess.run(asked, capture_output=True, check=True, text=True, timeout=120).stdout == "[]\n"


def test_a_parent_has_one_thread_when_it_forks() -> None:
    asked = [sys.executable, "-c", "import os, animus_runner.parent; print(len(os.listdir('/proc/self/task')))"]
    assert subprocess.run(asked, capture_output=True, check=True, text=True, timeout=120).stdout == "1\n"
