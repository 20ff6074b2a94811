# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The README's commands do what they say, twice, and leave nothing behind."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def demo(data: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "animus_hub", "demo", "--data", str(data), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)


def test_the_demo_holds_what_it_promises_twice_and_goes_without_a_trace() -> None:
    data = Path(tempfile.mkdtemp(prefix="animus-demo-"))
    with socket.create_server(("127.0.0.1", 0)):
        for _ in range(2):
            done = demo(data, "--smoke")
            assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
            assert "Done in" in done.stdout
    assert demo(data, "--down").returncode == 0
    assert not data.exists()


def test_a_folder_that_is_not_a_demos_is_never_removed(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x")
    demo(tmp_path, "--down")
    assert (tmp_path / "precious").read_text() == "x"
