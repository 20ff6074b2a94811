# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Installs a lock with uv: wheels only, by hash only, without anything a requirements file could smuggle in.

The control plane checks locks when they are made; they are checked again here, because this machine installs them.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import threading
import time
from pathlib import Path

import uv

from animus_contracts.environments import env_hash
from animus_contracts.plans import PlannedEnvironment

BUILD_SECONDS = 1800.0
LOOK_SECONDS = 0.1
KERNEL = re.compile(r"(?mi)^ipykernel(?:\[[^\]]*\])?==")
PYTHON = re.compile(r"3\.[0-9]{1,2}(?:\.[0-9]{1,3})?")
PIN = re.compile(
    r"[A-Za-z0-9][A-Za-z0-9._-]*(?:\[[A-Za-z0-9._,-]+\])?==[A-Za-z0-9.!+_-]+"
    r"(?:\s*;[\sA-Za-z0-9_.'\"<>=!~()-]+)?"
)
HASH = re.compile(r"sha256:[0-9a-f]{64}")
KEPT_VARIABLES = {"HOME", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "PATH", "SSL_CERT_DIR", "SSL_CERT_FILE", "TMPDIR"}


class UnrealisableError(Exception):
    """The lock cannot be realised here.

    Attributes:
        detail: What the installer said.
        remedy: What to do about it.
    """

    def __init__(self, summary: str, *, remedy: str, detail: str = "") -> None:
        super().__init__(summary)
        self.detail = detail
        self.remedy = remedy


class InterruptedBuildError(Exception):
    """The environment is not needed any more, so it was not built to its end."""


def verify_lock(planned: PlannedEnvironment) -> None:
    """Check that a lock is the one its digest names, and that it says nothing but pins with hashes.

    Raises:
        UnrealisableError: If it is not.
    """
    found = env_hash(
        python=planned.python, platform=planned.platform, requirements=planned.requirements, images=planned.images
    )
    if found != planned.env_hash:
        raise UnrealisableError("The environment lock is not the one its digest names.", remedy="Lock it again.")
    for line in logical_lines(planned.requirements):
        pin, *hashes = re.split(r"\s+--hash=", line)
        if not hashes or not PIN.fullmatch(pin) or not all(map(HASH.fullmatch, hashes)):
            raise UnrealisableError(
                f"The environment lock has a line that is not a pin with hashes: {line[:80]!r}.",
                remedy="Lock the environment again with `animus env lock`.",
            )
    if not PYTHON.fullmatch(planned.python):
        raise UnrealisableError(f"{planned.python[:20]!r} is not a Python version.", remedy="Lock it again.")
    if not KERNEL.search(planned.requirements):
        raise UnrealisableError(
            "The environment lock has no ipykernel, so no notebook can run in it.",
            remedy="Add ipykernel to the environment's requirements and lock it again.",
        )


def logical_lines(requirements: str) -> list[str]:
    """Return a requirements file's lines without comments, continuation lines joined."""
    joined = re.sub(r"\\\r?\n", " ", requirements)
    lines = (re.sub(r"(?:^|\s)#.*", "", line).strip() for line in joined.splitlines())
    return [line for line in lines if line]


def install(planned: PlannedEnvironment, folder: Path, stopping: threading.Event) -> None:
    """Make a virtual environment and install exactly what the lock pins.

    Args:
        planned: The lock.
        folder: What to make.
        stopping: Breaks it off when it is set.

    Raises:
        UnrealisableError: If the interpreter or a wheel cannot be had.
        InterruptedBuildError: If it was broken off.
    """
    _uv(
        stopping, "venv", "--quiet", "--no-project", "--python", planned.python, str(folder),
        summary=f"Python {planned.python} is not installed on the executor.",
        remedy="Ask the operator to install it, or lock the environment for another version.",
    )  # fmt: skip
    requirements = folder / "animus-lock.txt"
    requirements.write_text(planned.requirements, encoding="utf-8")
    # What uv has fetched before needs no network again; asking an index first would fail where there is none now.
    try:
        _sync(stopping, folder, requirements, "--offline")
    except UnrealisableError:
        _sync(stopping, folder, requirements)


def _sync(stopping: threading.Event, folder: Path, requirements: Path, *options: str) -> None:
    _uv(
        stopping, "pip", "sync", "--quiet", "--require-hashes", "--no-build", "--link-mode=copy", "--compile-bytecode",
        *options, "--python", str(folder / "bin" / "python"), str(requirements),
        summary="The environment's packages cannot be installed.",
        remedy="See the detail; lock the environment again for this platform, with packages that have wheels.",
    )  # fmt: skip


def _uv(stopping: threading.Event, *arguments: str, summary: str, remedy: str) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or name.startswith("UV_")
    }
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    command = [uv.find_uv_bin(), *arguments]
    with subprocess.Popen(  # noqa: S603 - arguments are ours or matched a strict pattern
        command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        process_group=0,
    ) as process:  # fmt: skip
        try:
            said = _said_at_the_end(process, stopping)
        except TimeoutError as error:
            os.killpg(process.pid, signal.SIGKILL)
            raise UnrealisableError(summary, detail=str(error), remedy=remedy) from error
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    if process.returncode:
        raise UnrealisableError(summary, detail=said.decode(errors="replace")[-4000:], remedy=remedy)


def _said_at_the_end(process: subprocess.Popen[bytes], stopping: threading.Event) -> bytes:
    deadline = time.monotonic() + BUILD_SECONDS
    while True:
        try:
            return process.communicate(timeout=LOOK_SECONDS)[1]
        except subprocess.TimeoutExpired as still_running:
            if stopping.is_set():
                raise InterruptedBuildError from still_running
            if time.monotonic() > deadline:
                raise TimeoutError(f"uv took longer than {BUILD_SECONDS:.0f} s") from still_running
