# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Attacks from inside a run: each tries to reach what is not the run's own, and none may."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from animus_contracts.environments import Resources
from animus_contracts.executions import Verdict
from animus_contracts.runs import FailureReason
from animus_runner import sandbox
from animus_runner.kernels import Kernel, available, own_parent
from tests.patience import until
from tests.unit.runner.trials import Trial, assignment_for, notebook_of, run_assignment, try_cells

pytestmark = pytest.mark.skipif(bool(sandbox.missing()), reason="this machine allows no sandbox")

REPORT = """
import json, os
found = {}
def attempt(name):
    def run(function):
        try:
            found[name] = repr(function())
        except BaseException as error:
            found[name] = type(error).__name__
    return run
"""


@pytest.fixture(scope="module")
def parent() -> Iterator[str]:
    with own_parent(sys.executable) as address:
        yield address


def found_by(folder: Path, parent: str, attempts: str, **changes: Any) -> dict[str, str]:
    trial = try_cells(folder, parent, [REPORT + attempts + "\nprint(json.dumps(found))"], **changes)
    found: dict[str, str] = json.loads(trial.text())
    return found


def test_the_executors_files_other_runs_and_homes_do_not_exist_inside(tmp_path: Path, parent: str) -> None:
    secret = tmp_path / "token"
    secret.write_text("s3cr3t")
    (tmp_path / "other-run").mkdir()
    (tmp_path / "run").mkdir()
    found = found_by(
        tmp_path / "run",
        parent,
        f"""
@attempt("secret")
def _(): return open({str(secret)!r}).read()
@attempt("others")
def _(): return os.listdir({str(tmp_path)!r})
@attempt("log")
def _(): return open({str(tmp_path / "run" / "kernel.log")!r}).read()
@attempt("shadow")
def _(): return open("/etc/shadow").read()
@attempt("docker")
def _(): return os.path.exists("/var/run/docker.sock") or os.listdir("/run") + os.listdir("/var")
@attempt("home")
def _(): return os.listdir("/home")
@attempt("old root")
def _(): return os.listdir("/mnt")
@attempt("sources of the platform")
def _(): return os.path.exists({sandbox.__file__!r}) and not {sandbox.__file__!r}.startswith(__import__("sys").prefix)
@attempt("descriptors")
def _(): return sorted({{os.readlink("/proc/self/fd/" + fd).split(":")[0] for fd in os.listdir("/proc/self/fd")
                       if os.path.exists("/proc/self/fd/" + fd)}} - {{"socket", "pipe", "anon_inode"}})
""",
    )
    assert found.pop("descriptors") == f"['/dev/null', '{tmp_path}/run/kernel.log']"  # where it writes, and no more
    assert found == {
        "secret": "FileNotFoundError",
        "others": "['run']",
        "log": "FileNotFoundError",
        "shadow": "FileNotFoundError",
        "docker": "[]",
        "home": "FileNotFoundError",
        "old root": "[]",
        "sources of the platform": "False",
    }


def test_only_outputs_and_scratch_can_be_written(tmp_path: Path, parent: str) -> None:
    found = found_by(
        tmp_path,
        parent,
        """
def write(folder):
    path = os.path.join(folder, "probe")
    open(path, "w").close()
    return "written"
for name, folder in {
    "outputs": os.environ["ANIMUS_OUTPUTS_DIR"], "tmp": "/tmp", "home": os.environ["HOME"], "shm": "/dev/shm",
    "code": os.getcwd(), "inputs": os.environ["ANIMUS_INPUTS_DIR"], "root": "/", "etc": "/etc", "usr": "/usr",
    "environment": __import__("sys").prefix, "dev": "/dev", "proc": "/proc/sys/kernel", "sys": "/sys",
}.items():
    attempt(name)(lambda: write(folder))
""",
    )
    writable = {name for name, result in found.items() if result == "'written'"}
    assert writable == {"outputs", "tmp", "home", "shm"}
    assert set(found.values()) <= {"'written'", "OSError", "PermissionError", "FileNotFoundError"}


def test_no_network_is_reachable_not_even_the_machines_own(tmp_path: Path, parent: str) -> None:
    abstract = f"\0animus-test-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as hidden:
        hidden.bind(abstract)
        hidden.listen()
        found = found_by(
            tmp_path,
            parent,
            f"""
import socket
@attempt("loopback")
def _(): return socket.create_connection(("127.0.0.1", {server.getsockname()[1]}), 3)
@attempt("metadata service")
def _(): return socket.create_connection(("169.254.169.254", 80), 3)
@attempt("names")
def _(): return socket.getaddrinfo("example.org", 80)
@attempt("abstract socket")
def _(): return socket.socket(socket.AF_UNIX).connect({abstract!r})
@attempt("raw")
def _(): return socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
""",
        )
    assert found == {
        "loopback": "OSError",
        "metadata service": "OSError",
        "names": "gaierror",
        "abstract socket": "ConnectionRefusedError",
        "raw": "PermissionError",
    }


def test_no_right_is_left_and_none_can_be_gained(tmp_path: Path, parent: str) -> None:
    found = found_by(
        tmp_path,
        parent,
        """
import ctypes, subprocess
libc = ctypes.CDLL(None, use_errno=True)
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
found["capabilities"] = sorted({status[name].strip() for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")})
found["no new rights"] = status["NoNewPrivs"].strip()
found["ids"] = [os.getuid(), os.geteuid(), os.getgid(), os.getgroups()]
@attempt("become root")
def _(): return os.setuid(0)
@attempt("chroot")
def _(): return os.chroot("/")
@attempt("node")
def _(): return os.mknod("/tmp/sda", 0o60666, os.makedev(8, 0))
found["mount"] = libc.mount(b"none", b"/tmp", b"tmpfs", 0, None)
found["remount"] = libc.mount(None, b"/usr", None, 32 | 4096, None)
found["user namespace"] = libc.unshare(0x10000000)
found["ptrace init"] = libc.ptrace(16, 1, None, None)
@attempt("environment of init")
def _(): return open("/proc/1/environ").read()
@attempt("root of init")
def _(): return os.listdir("/proc/1/root")
found["processes"] = sorted(name for name in os.listdir("/proc") if name.isdigit())
@attempt("kill outside")
def _(): return os.kill(1, 9), os.path.exists("/proc/1")
found["host"] = os.uname().nodename
""",
    )
    assert found == {
        "capabilities": ["0000000000000000"],
        "no new rights": "1",
        "ids": [1000, 1000, 1000, found["ids"][3]],
        "become root": "OSError",
        "chroot": "PermissionError",
        "node": "PermissionError",
        "mount": -1,
        "remount": -1,
        "user namespace": -1,
        "ptrace init": -1,
        "environment of init": "PermissionError",
        "root of init": "PermissionError",
        "processes": ["1", "2"],
        "kill outside": "(None, True)",  # pid 1 of the run's own namespace, which the kernel protects
        "host": "animus",
    }


def test_a_fork_bomb_stays_within_its_limit_and_nothing_of_it_is_left(tmp_path: Path, parent: str) -> None:
    bomb = "import os\nwhile True:\n    try: os.fork()\n    except BlockingIOError: pass"
    trial = try_cells(tmp_path, parent, [bomb], resources=Resources(wall_seconds=3, processes=40))
    assert trial.outcome.verdict is Verdict.FAILED
    assert trial.seconds < 20
    until(lambda: len(processes_of(parent)) == 1)
    count = (
        "import os, time\nn = 0\ntry:\n    while True:\n        if os.fork() == 0: time.sleep(30); os._exit(0)\n"
        "        n += 1\nexcept BlockingIOError: print(n)"
    )
    (tmp_path / "count").mkdir()
    trial = try_cells(tmp_path / "count", parent, [count], resources=Resources(processes=40))
    assert 5 < int(trial.text()) < 40


def processes_of(parent: str) -> set[str]:
    """The ids of a kernel parent and of everything it forked."""
    return {path.name for path in Path("/proc").iterdir() if path.name.isdigit() and _mentions(path, parent)}


def _mentions(process: Path, parent: str) -> bool:
    with contextlib.suppress(OSError):
        return parent.encode() in (process / "cmdline").read_bytes()
    return False


@pytest.mark.parametrize(
    "hog",
    [
        "x = [bytearray(50 << 20) for _ in range(100)]",
        "import os\nfor _ in range(4): os.fork()\nx = b'a' * (80 << 20)\nimport time; time.sleep(60)",
        "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'x = [bytes(1000) for _ in range(10**7)]'])",
    ],
    ids=["one process", "many processes", "another program"],
)
def test_a_run_cannot_hold_more_memory_than_it_has(tmp_path: Path, parent: str, hog: str) -> None:
    trial = try_cells(tmp_path, parent, [hog], resources=Resources(memory_mib=400, wall_seconds=60))
    assert trial.outcome.failure is not None
    assert trial.outcome.failure.reason is FailureReason.OUT_OF_MEMORY
    assert trial.outcome.peak_memory_mib is not None
    assert trial.outcome.peak_memory_mib < 1600


def test_a_file_cannot_grow_beyond_its_limit(tmp_path: Path, parent: str) -> None:
    source = "f = open('/tmp/big', 'wb')\nfor _ in range(20): f.write(bytes(1 << 20)); f.flush()"
    trial = try_cells(tmp_path, parent, [source], resources=Resources(file_mib=5))
    assert trial.outcome.failure is not None
    assert "File too large" in trial.outcome.failure.exception
    assert (tmp_path / "scratch/big").stat().st_size == 5 << 20


def test_the_channel_and_the_inputs_work_from_inside(tmp_path: Path, parent: str) -> None:
    notebook = notebook_of(
        "import os, socket\ns = socket.socket(socket.AF_UNIX)\ns.connect(os.environ['ANIMUS_RUN_SOCKET'])\n"
        "s.sendall(b'hello')\nprint(open(os.environ['ANIMUS_INPUTS_DIR'] + '/train/a.csv').read())"
    )
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "c"))
        server.listen()
        assignment = assignment_for(tmp_path, notebook, parent, channel=tmp_path / "c")
        (tmp_path / "inputs/train").mkdir()
        (tmp_path / "inputs/train/a.csv").write_text("1,2")
        trial = run_assignment(assignment, tmp_path)
        connection, _ = server.accept()
        assert connection.recv(5) == b"hello"
        connection.close()
    assert trial.text() == "1,2\n"


def test_a_supervisor_that_goes_away_takes_its_run_with_it(tmp_path: Path, parent: str) -> None:
    assignment = assignment_for(tmp_path, notebook_of("1"), parent)
    kernel = Kernel(parent, assignment.kernel_request())
    kernel.wait_until_bound()
    assert len(processes_of(parent)) == 4
    kernel.close()
    until(lambda: len(processes_of(parent)) == 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_a_user_without_rights_can_build_the_same_sandbox() -> None:
    child = os.fork()
    if child == 0:
        os.setgroups([])
        os.setresgid(65534, 65534, 65534)
        os.setresuid(65534, 65534, 65534)
        sandbox.prctl(sandbox.PR_SET_DUMPABLE, 1)
        os._exit(len(sandbox.missing()))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_the_machine_refuses_is_named_as_a_limitation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "SYS_PIVOT_ROOT", {})
    assert available() == ["filesystem_not_isolated", "network_not_isolated"]


def test_without_a_sandbox_the_run_works_and_its_processes_end_with_it(tmp_path: Path, parent: str) -> None:
    assignment = assignment_for(
        tmp_path,
        notebook_of(
            "import subprocess, sys, os\n"
            "code = 'import time; time.sleep(300)'\n"
            "print(subprocess.Popen([sys.executable, '-c', code], start_new_session=True).pid)"
        ),
        parent,
    )
    trial = _unconfined(assignment, tmp_path)
    left = int(trial.text())
    until(lambda: not Path(f"/proc/{left}").exists())


def _unconfined(assignment: Any, folder: Path) -> Trial:
    class Unconfined:
        def __getattr__(self, name: str) -> Any:
            return getattr(assignment, name)

        def kernel_request(self) -> dict[str, Any]:
            request: dict[str, Any] = assignment.kernel_request()
            return request | {"view": None}

    return run_assignment(Unconfined(), folder)  # type: ignore[arg-type] # the same, without its view
