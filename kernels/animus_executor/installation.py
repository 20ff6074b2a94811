# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Installs a lock with uv: wheels only, by hash only, without anything a requirements file could smuggle in.

The control plane checks locks when they are made; they are checked again here, because this machine installs them.
"""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import uv

from animus_contracts.environments import env_hash
from animus_contracts.plans import PlannedEnvironment

BUILD_SECONDS = 1800.0
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


def install(planned: PlannedEnvironment, folder: Path) -> None:
    """Make a virtual environment and install exactly what the lock pins.

    Raises:
        UnrealisableError: If the interpreter or a wheel cannot be had.
    """
    _uv(
        "venv", "--quiet", "--no-project", "--python", planned.python, str(folder),
        summary=f"Python {planned.python} is not installed on the executor.",
        remedy="Ask the operator to install it, or lock the environment for another version.",
    )  # fmt: skip
    requirements = folder / "animus-lock.txt"
    requirements.write_text(planned.requirements, encoding="utf-8")
    # What uv has fetched before needs no network again; asking an index first would fail where there is none now.
    try:
        _sync(folder, requirements, "--offline")
    except UnrealisableError:
        _sync(folder, requirements)


def _sync(folder: Path, requirements: Path, *options: str) -> None:
    _uv(
        "pip", "sync", "--quiet", "--require-hashes", "--no-build", "--link-mode=copy", "--compile-bytecode", *options,
        "--python", str(folder / "bin" / "python"), str(requirements),
        summary="The environment's packages cannot be installed.",
        remedy="See the detail; lock the environment again for this platform, with packages that have wheels.",
    )  # fmt: skip


def _uv(*arguments: str, summary: str, remedy: str) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name in KEPT_VARIABLES or name.startswith("UV_")
    }
    environment |= {"UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
    command = [uv.find_uv_bin(), *arguments]
    try:
        subprocess.run(command, env=environment, cwd="/", check=True, capture_output=True, timeout=BUILD_SECONDS)  # noqa: S603 - arguments are ours or matched a strict pattern
    except subprocess.CalledProcessError as error:
        detail = error.stderr.decode(errors="replace")[-4000:]
        raise UnrealisableError(summary, detail=detail, remedy=remedy) from error
    except subprocess.TimeoutExpired as error:
        raise UnrealisableError(summary, detail=f"uv took longer than {BUILD_SECONDS:.0f} s", remedy=remedy) from error
