# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the Hub has started ends with the Hub, also with one that is killed."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from animus_hub import tether
from tests.patience import until

STARTER = """
import subprocess, sys
child = subprocess.Popen([sys.executable, "-m", "animus_hub.tether", "http.server", "0", "--bind", "127.0.0.1"])
print(child.pid, flush=True)
child.wait()
"""


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def has_become(pid: int, module: str) -> bool:
    return module.encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[:3]


def test_a_tethered_process_ends_when_its_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        until(lambda: has_become(child, "http.server"))
        assert is_alive(child)
        parent.send_signal(signal.SIGKILL)
    until(lambda: not is_alive(child))


def test_a_process_whose_parent_is_gone_already_does_not_start() -> None:
    code = "from animus_hub.tether import main; main(['http.server', '0'], 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stderr.strip()) == (1, "animus: the Hub is gone")


def test_the_wish_is_the_kernels_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tether, "PR_SET_PDEATHSIG", 0xDEAD)
    with pytest.raises(OSError, match="told of the parent's end"):
        tether.main(["http.server"], os.getppid())
