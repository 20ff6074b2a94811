# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Resolving an environment into a lock: uv decides the versions, every file is pinned by hash.

The lock's text names no package index, so it says what is installed and not where it came from. ``ipykernel`` is
always part of it, because a run's kernel is started from the lock and from nothing else.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
import sysconfig
from pathlib import Path

from animus.errors import AnimusError, UsageError
from animus.git import without_credentials

KERNEL = "ipykernel"
SECONDS = 300


def resolve(requirements: list[str], *, python: str) -> str:
    """Resolve requirements for a Python version on this machine's platform.

    Args:
        requirements: PEP 508 requirements.
        python: Minor version, such as ``3.11``.

    Returns:
        A requirements text in which every line carries hashes.

    Raises:
        AnimusError: If they cannot be resolved; the message is uv's.
    """
    command = [
        uv(), "pip", "compile", "-", "--quiet", "--generate-hashes", "--no-header", "--no-annotate",
        "--no-emit-index-url", "--python-version", python,
    ]  # fmt: skip
    wanted = "\n".join([*requirements, KERNEL])
    try:
        done = subprocess.run(  # noqa: S603  # no shell; the requirements go to standard input
            command, input=wanted, capture_output=True, text=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AnimusError("not_resolved", f"uv found no answer within {SECONDS} seconds") from error
    if done.returncode:
        said = " ".join(without_credentials(done.stderr).split())
        raise AnimusError("not_resolved", said[-600:], remedy="change the environment's requirements")
    return done.stdout


def uv() -> str:
    """Return where uv is.

    Raises:
        UsageError: If it is not installed.
    """
    beside = Path(sysconfig.get_path("scripts")) / "uv"
    found = str(beside) if beside.is_file() else shutil.which("uv")
    if not found:
        remedy = "install uv, or give the resolved file: animus env lock NAME --file requirements.txt"
        raise UsageError("no_uv", "uv is not installed here", remedy=remedy)
    return found


def platform_tag() -> str:
    """Return this machine's platform tag, such as ``linux_x86_64``."""
    return f"{platform.system().lower()}_{platform.machine().lower()}"
