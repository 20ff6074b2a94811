# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A cache of files named by their digest: nothing enters or leaves it without being hashed.

A cached file that changed is noticed before it is used and fetched again; one that arrives with other bytes than its
name says never becomes visible.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
from collections.abc import Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Protocol

from animus_contracts.digests import Digest

FICLONE = 0x40049409
"""ioctl that shares a file's blocks on file systems with reflinks (linux/fs.h)."""


class WrongBytesError(Exception):
    """Bytes do not have the digest under which they were asked for."""


class Source(Protocol):
    """Where objects come from."""

    def fetch_input(self, digest: Digest) -> AbstractContextManager[Iterable[bytes]]:
        """Open the bytes of an object; raises ``WrongBytesError`` when the source has not these any more."""


class Objects:
    """The cache below one folder; processes may share it.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def place(self, digest: Digest, target: Path, source: Source) -> None:
        """Put an object at a path, read-only: by reflink, hard link or copy.

        Raises:
            WrongBytesError: If the source delivers other bytes.
        """
        cached = self.path(digest)
        with suppress(FileNotFoundError):
            os.utime(cached)  # whoever trims the cache spares what was used lately, see there
        if not cached.is_file() or digest_file(cached) != digest:
            self._fetch(digest, cached, source)
        _link(cached, target)

    def path(self, digest: Digest) -> Path:
        """Where an object is, or would be."""
        value = digest.removeprefix("sha256:")
        return self._folder / value[:2] / value[2:]

    def _fetch(self, digest: Digest, cached: Path, source: Source) -> None:
        cached.parent.mkdir(parents=True, exist_ok=True)
        arriving = cached.with_name(f".{cached.name}.{secrets.token_hex(4)}")
        try:
            with arriving.open("xb") as file, source.fetch_input(digest) as chunks:
                file.writelines(chunks)
                os.fchmod(file.fileno(), 0o444)
            if (found := digest_file(arriving)) != digest:
                raise WrongBytesError(f"{digest} arrived as {found}")
            arriving.replace(cached)
        finally:
            arriving.unlink(missing_ok=True)


def digest_file(path: Path) -> Digest:
    """Return the digest of a file's bytes."""
    with path.open("rb") as file:
        return Digest("sha256:" + hashlib.file_digest(file, "sha256").hexdigest())


def _link(cached: Path, target: Path) -> None:
    with cached.open("rb") as source, target.open("xb") as copy:
        try:
            fcntl.ioctl(copy.fileno(), FICLONE, source.fileno())
        except OSError:
            pass  # the file system has no reflinks
        else:
            os.fchmod(copy.fileno(), 0o444)
            return
    target.unlink()
    try:
        os.link(cached, target)
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(cached, target)
        target.chmod(0o444)
