# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders that nobody may write to, and their removal, which must take that right back first."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

READ_ONLY = 0o555


def make_read_only(folder: Path) -> None:
    """Take the right to write from every file and folder below; links are left alone."""
    for where, _, names in os.walk(folder, followlinks=False):
        for name in names:
            path = Path(where, name)
            if not path.is_symlink():
                path.chmod(path.stat().st_mode & READ_ONLY)
        Path(where).chmod(READ_ONLY)


def remove(folder: Path) -> None:
    """Remove a folder with everything in it, read-only or not; one that is not there is fine."""
    if not folder.is_dir():
        return
    for where, _, _ in os.walk(folder, followlinks=False):  # top down: a folder is made writable before it is listed
        Path(where).chmod(0o700)
    shutil.rmtree(folder, ignore_errors=True)
