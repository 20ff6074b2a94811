# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Folders that nobody may write to: the digest of what they hold, and their removal, which must unlock them first."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from animus_contracts.digests import Digest

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
    """Remove a folder with everything in it, read-only or not; one that is not there is fine.

    Everything goes by descriptor, so that a process of a run that is not quite dead cannot lead us elsewhere by
    putting a link in the place of a folder.
    """
    if not folder.is_dir():
        return
    for _, _, _, descriptor in os.fwalk(folder):
        os.fchmod(descriptor, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


def content_digest(folder: Path) -> Digest:
    """Return the digest over the path, type, rights and content of every file below (of a link: its target)."""
    found = hashlib.sha256()
    for path, status in _files(folder):
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:  # noqa: PTH123 - os.scandir gives names, and there are thousands
                content = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            content = str(Path(path).readlink()) if stat.S_ISLNK(status.st_mode) else ""
        facts = (os.path.relpath(path, folder), str(status.st_mode), content)
        found.update("\0".join(facts).encode(errors="surrogateescape") + b"\n")
    return Digest(f"sha256:{found.hexdigest()}")


def _files(folder: str | Path) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _files(entry.path)
            else:
                yield entry.path, entry.stat(follow_symlinks=False)
