# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A lock is realised once, by uv, into a read-only virtual environment that every run of the lock shares.

Rules kept here:

* only wheels whose hash stands in the lock are installed; nothing is built, because building runs other people's
  code with the executor's rights;
* an environment counts from the moment its manifest is written, and never changes afterwards: one that did is
  noticed before the next run and built anew, in another folder;
* the same lock is realised by one builder at a time, also among executors that share the folder.
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from animus_contracts.decoding import decode_json
from animus_contracts.digests import Digest
from animus_contracts.plans import PlannedEnvironment
from animus_executor.folders import content_digest, make_read_only, remove
from animus_executor.installation import InterruptedBuildError, install, verify_lock
from animus_executor.watches import FolderWatch

LOOK_SECONDS = 0.05
NEVER = threading.Event()

log = logging.getLogger(__name__)


class Manifest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which folder was built for a lock, and what it held when it was finished."""

    folder: str
    content: Digest


class Environments:
    """The realised environments below one folder.

    Args:
        folder: Where they are.
        keep: How many are kept; the ones used longest ago go first.
    """

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        self._lock = threading.Lock()
        self._users: dict[Path, int] = {}
        self._verified: dict[Path, FolderWatch] = {}
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def realised(self, planned: PlannedEnvironment, stopping: threading.Event = NEVER) -> Iterator[Path]:
        """Hold the environment of a lock: its folder exists, unchanged, as long as it is held.

        Raises:
            UnrealisableError: If it cannot be built.
            InterruptedBuildError: If ``stopping`` was set before it was there.
        """
        verify_lock(planned)
        key = planned.env_hash.removeprefix("sha256:")
        with (self._folder / f"{key}.lock").open("w") as lock:
            _lock(lock.fileno(), stopping)
            folder = self._intact(key) or self._built(planned, key, stopping)
            os.utime(self._folder / f"{key}.json")  # the time of the last use decides what is dropped first
            self._hold(folder, 1)
        try:
            yield folder
        finally:
            self._hold(folder, -1)

    @contextmanager
    def held(self, folder: Path) -> Iterator[None]:
        """Hold an environment that a predecessor realised, for a run that uses it already."""
        self._hold(folder, 1)
        try:
            yield
        finally:
            self._hold(folder, -1)

    def trim(self, *, spared: Collection[Path] = ()) -> None:
        """Drop what is neither in use nor among the newest, and what a killed builder left; ``spared`` stays."""
        manifests = sorted(self._folder.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
        with self._lock:
            kept = {folder.name for folder, users in self._users.items() if users} | {path.name for path in spared}
            for position, path in enumerate(manifests):
                name = _read(path).folder
                if position < self._keep or name in kept:
                    kept.add(name)
                else:
                    path.unlink()
            for folder in self._folder.iterdir():
                if folder.is_dir() and folder.name not in kept:
                    self._forget(folder)
                    remove(folder)

    def close(self) -> None:
        """Let go of every watch."""
        for folder in list(self._verified):
            self._forget(folder)

    def _intact(self, key: str) -> Path | None:
        """Return the folder that was built for a key, if it is what it was."""
        path = self._folder / f"{key}.json"
        if not path.exists():
            return None
        manifest = _read(path)
        folder = self._folder / manifest.folder
        if self._is_unchanged(folder) or self._verify(folder, manifest):
            return folder
        log.error("environment %s is not what was built: it is built anew", folder.name)
        return None

    def _is_unchanged(self, folder: Path) -> bool:
        return folder in self._verified and self._verified[folder].is_unchanged()

    def _verify(self, folder: Path, manifest: Manifest) -> bool:
        """Compare a folder's content with its manifest, and watch it from before that on."""
        self._forget(folder)
        if not folder.is_dir():
            return False
        self._verified[folder] = FolderWatch(folder)
        return content_digest(folder) == manifest.content

    def _forget(self, folder: Path) -> None:
        if watch := self._verified.pop(folder, None):
            watch.close()

    def _built(self, planned: PlannedEnvironment, key: str, stopping: threading.Event) -> Path:
        folder = self._folder / f"{key[:16]}-{secrets.token_hex(4)}"
        self._hold(folder, 1)
        try:
            install(planned, folder, stopping)
            make_read_only(folder)
        except BaseException:
            remove(folder)
            raise
        finally:
            self._hold(folder, -1)
        self._verified[folder] = FolderWatch(folder)
        manifest = Manifest(folder=folder.name, content=content_digest(folder))
        arriving = self._folder / f".{key}.{secrets.token_hex(4)}"
        arriving.write_bytes(msgspec.json.encode(manifest))
        arriving.replace(self._folder / f"{key}.json")
        return folder

    def _hold(self, folder: Path, change: int) -> None:
        with self._lock:
            self._users[folder] = self._users.get(folder, 0) + change


def _lock(descriptor: int, stopping: threading.Event) -> None:
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:  # somebody builds it, which may take minutes
            if stopping.wait(LOOK_SECONDS):
                raise InterruptedBuildError from error
        else:
            return


def _read(path: Path) -> Manifest:
    return decode_json(path.read_bytes(), Manifest)
