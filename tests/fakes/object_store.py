# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An object store in memory; it keeps the promises of the port, and can be told to fail."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

from animus_contracts.datasets import StoredObject
from animus_contracts.digests import Digest
from animus_control.domain.errors import AnimusError, InvalidError, MissingError

CHUNK = 64 * 1024


class MemoryObjectStore:
    """Bytes by digest, in a dictionary."""

    def __init__(self) -> None:
        self.kept: dict[Digest, bytes] = {}
        self.failing: AnimusError | None = None

    async def put(self, digest: Digest, chunks: AsyncIterator[bytes]) -> StoredObject:
        if self.failing is not None:
            raise self.failing
        content = b"".join([chunk async for chunk in chunks])
        if "sha256:" + hashlib.sha256(content).hexdigest() != digest:
            raise InvalidError("artifact_hash_mismatch")
        self.kept[digest] = content
        return StoredObject(digest=digest, size_bytes=len(content))

    async def size(self, digest: Digest) -> int | None:
        return len(self.kept[digest]) if digest in self.kept else None

    async def read(self, digest: Digest) -> AsyncIterator[bytes]:
        if digest not in self.kept:
            raise MissingError("not_found")
        content = self.kept[digest]
        for start in range(0, len(content), CHUNK):
            yield content[start : start + CHUNK]

    async def sweep(self) -> int:
        return 0

    async def check(self) -> None:
        if self.failing is not None:
            raise self.failing
