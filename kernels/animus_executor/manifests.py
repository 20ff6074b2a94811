# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a folder holds, in two depths: by content, which costs reading it, and by inode, which costs looking at it.

The inode listing (path, inode, size, mode, change time) is enough to notice a change between two runs, because no
program can set a file's change time; the content digest says what was built.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from animus_contracts.digests import Digest


def content_digest(folder: Path) -> Digest:
    """Return the digest over every file's path, type, mode and content (of a link: its target)."""
    found = hashlib.sha256()
    for path, status in _entries(folder):
        if stat.S_ISREG(status.st_mode):
            with open(path, "rb") as file:  # noqa: PTH123 - os.scandir gives names, and there are thousands
                content = hashlib.file_digest(file, "sha256").hexdigest()
        else:
            content = str(Path(path).readlink()) if stat.S_ISLNK(status.st_mode) else "special"
        _add(found, os.path.relpath(path, folder), stat.S_IFMT(status.st_mode), status.st_mode & 0o777, content)
    return Digest(f"sha256:{found.hexdigest()}")


def inode_digest(folder: Path) -> Digest:
    """Return the digest over every file's path, inode, size, mode and change time."""
    found = hashlib.sha256()
    for path, status in _entries(folder):
        _add(found, path, status.st_ino, status.st_size, status.st_mode, status.st_ctime_ns)
    return Digest(f"sha256:{found.hexdigest()}")


def _add(found: hashlib._Hash, *facts: object) -> None:
    found.update("\0".join(map(str, facts)).encode(errors="surrogateescape") + b"\n")


def _entries(folder: str | Path) -> Iterator[tuple[str, os.stat_result]]:
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.is_dir(follow_symlinks=False):
                yield from _entries(entry.path)
            else:
                yield entry.path, entry.stat(follow_symlinks=False)
