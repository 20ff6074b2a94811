# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Bytes by digest, in a directory or a bucket: an object is there completely and correctly, or not at all.

The bytes are hashed while they arrive and go to a part file (a multipart upload) that only becomes the object when the
hash is right; a part that is given up is removed. One that a killed process leaves, ``…#1``, is never read, and swept
when nothing was written to it for a day; in a bucket that is the provider's rule for unfinished uploads. In a directory
the object and its folders are synced to the disk before anyone is told of it. Storing an object again replaces it by
the same bytes, which mends a damaged one.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import suppress
from pathlib import Path
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import BaseError
from obstore.store import LocalStore, ObjectStore, from_url

from animus_contracts.datasets import StoredObject
from animus_contracts.digests import DIGEST, Digest
from animus_control.domain.errors import AnimusError, InvalidError, MissingError

PART_BYTES = 8 * 1024 * 1024
CHUNK_BYTES = 1024 * 1024
CHECK = "check"
PART = re.compile(r"[0-9a-f]{62}#\d+")
"""Name of a part file, as the store's own library makes it."""

ABANDONED_SECONDS = 24 * 3600
"""After so long without a byte an upload is over, even if somebody still holds its connection."""

# The Rust standard library's spelling of ENOSPC, EFBIG and EDQUOT, the only trace of them that comes through.
NO_ROOM = re.compile(r"\(os error (?:28|27|122)\)")
FAILURES = (BaseError, OSError)


def open_object_store(url: str) -> HashedObjectStore:
    """Open a store.

    Args:
        url: ``file:///<directory>`` or a bucket: ``s3://…``, ``gs://…``, ``az://…``; credentials come from the
            environment the way each provider defines.
    """
    parts = urlsplit(url)
    if parts.scheme == "file":
        root = Path(unquote(parts.path))
        root.mkdir(parents=True, exist_ok=True)
        return HashedObjectStore(LocalStore(root), root=root)
    return HashedObjectStore(from_url(url))


class HashedObjectStore:
    """Bytes by digest, written once.

    Args:
        store: Where they are.
        root: The directory, if it is one.
    """

    def __init__(self, store: ObjectStore, *, root: Path | None = None) -> None:
        self._store = store
        self._root = root

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes]) -> StoredObject:
        """Store bytes while hashing them.

        Raises:
            InvalidError: ``artifact_hash_mismatch``; nothing is kept of bytes that do not have the digest.
            AnimusError: ``storage_full`` or ``service_unavailable``; nothing is kept.
        """
        key, seen, size = _key(digest), hashlib.sha256(), 0
        writer = obstore.open_writer_async(self._store, key, buffer_size=PART_BYTES)
        try:
            async for chunk in chunks:
                seen.update(chunk)
                size += len(chunk)
                await _stored(writer.write(chunk))
            if (found := f"sha256:{seen.hexdigest()}") != digest:
                raise InvalidError("artifact_hash_mismatch", f"the bytes have the digest {found}")
            await _stored(writer.close())
            await _stored(asyncio.to_thread(self._sync, key))
        finally:
            del writer  # gives up a part that was not closed: now, not when an error's traceback is let go of
        return StoredObject(digest=digest, size_bytes=size)

    async def size(self, digest: Digest) -> int | None:
        """Return how many bytes the object has, or None when it is not there."""
        try:
            return (await obstore.head_async(self._store, _key(digest)))["size"]
        except FileNotFoundError:
            return None
        except FAILURES as error:
            raise _translated(error) from error

    async def read(self, digest: Digest) -> AsyncIterator[bytes]:
        """Yield the bytes in chunks.

        Raises:
            MissingError: When they are gone.
        """
        try:
            found = await obstore.get_async(self._store, _key(digest))
            async for chunk in found.stream(min_chunk_size=CHUNK_BYTES):
                yield bytes(chunk)
        except FileNotFoundError as error:
            raise MissingError("not_found", f"the bytes of {digest} are gone") from error
        except FAILURES as error:
            raise _translated(error) from error

    async def check(self) -> None:
        """Raise when the store cannot be written.

        Raises:
            AnimusError: ``storage_full`` or ``service_unavailable``.
        """
        try:
            await obstore.put_async(self._store, CHECK, b"1")
            await obstore.delete_async(self._store, CHECK)
        except FAILURES as error:
            raise _translated(error) from error

    async def sweep(self) -> int:
        """Remove part files that nothing was written to for :data:`ABANDONED_SECONDS`; return how many there were."""
        return 0 if self._root is None else await asyncio.to_thread(_sweep, self._root, ABANDONED_SECONDS)

    def _sync(self, key: str) -> None:
        """Sync an object and the folders above it, which may be new; a bucket has done that by itself."""
        if self._root is None:
            return
        path = self._root / key
        for each in (path, *path.relative_to(self._root).parents):
            descriptor = os.open(self._root / each, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def _sweep(root: Path, seconds: float) -> int:
    swept, oldest = 0, time.time() - seconds
    for path in root.glob("sha256/*/*#*"):
        with suppress(FileNotFoundError):  # a part that became an object, or was given up, at this very moment
            if PART.fullmatch(path.name) and path.stat().st_mtime < oldest:
                path.unlink()
                swept += 1
    return swept


async def _stored(step: Awaitable[object]) -> None:
    """Wait for the store alone: an error of the stream that feeds it is not the store's."""
    try:
        await step
    except FAILURES as error:
        raise _translated(error) from error


def _key(digest: Digest) -> str:
    if not DIGEST.fullmatch(digest):
        raise ValueError("not a digest")
    algorithm, _, value = digest.partition(":")
    return f"{algorithm}/{value[:2]}/{value[2:]}"


def _translated(error: Exception) -> AnimusError:
    if NO_ROOM.search(str(error)):
        return AnimusError("storage_full", "the object store has no room left")
    return AnimusError("service_unavailable", "the object store cannot answer now")
