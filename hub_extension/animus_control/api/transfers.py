# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Bytes stream through; the control plane hashes them and opens nothing.

An upload is authorised before its first byte is read, hashed while it arrives, and noted for its project only after
the store has it. A download is authorised and audited before its first byte leaves, and always an attachment.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from pathlib import PurePosixPath
from urllib.parse import quote

from animus_contracts.datasets import StoredObject
from animus_contracts.decoding import json_decoder
from animus_contracts.digests import DIGEST, Digest
from animus_contracts.endpoint import Body, Caller
from animus_contracts.problems import Fault
from animus_control.api.handler import EndpointHandler
from animus_control.api.operation import BodyHandler
from animus_control.domain.errors import ConflictError, InvalidError, MissingError
from animus_control.services import access
from animus_control.services.objects import Content

_CONTENT = json_decoder(Content)

WAITING_CHUNKS = 8
"""How many received chunks may wait for the store before the sender is made to wait."""


MEND = "Upload the same bytes once more, which replaces what the store holds."


class Chunks:
    """Chunks on their way from the network to the store, a few at a time."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._room = asyncio.Event()
        self._ended = False

    async def put(self, chunk: bytes) -> None:
        """Hand a chunk over, waiting while the store is behind; once it stopped reading, chunks are dropped."""
        if self._ended:
            return
        self._waiting.append(chunk)
        self._arrived.set()
        if len(self._waiting) >= WAITING_CHUNKS:
            self._room.clear()
            await self._room.wait()

    def end(self) -> None:
        """Say that nothing comes any more, or that nobody reads any more."""
        self._ended = True
        self._arrived.set()
        self._room.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield the chunks until the end."""
        while True:
            while self._waiting:
                yield self._waiting.popleft()
                self._room.set()
            if self._ended:
                return
            self._arrived.clear()
            await self._arrived.wait()


class UploadHandler(BodyHandler):
    """Stores bytes under the digest in the path."""

    lasting = True
    _storing: asyncio.Task[StoredObject] | None = None

    def check_length(self, length: int) -> None:
        """Refuse an object that is too large."""
        if length > self.edge.max_object_bytes:
            raise InvalidError("body_too_large", f"An object has at most {self.edge.max_object_bytes} bytes")

    async def open(self) -> None:
        """Authorise the upload and open the store for it."""
        digest = require_digest(self.parameters["digest"])
        self.query()
        call = self.call()
        await self.read(lambda uow: access.enter(uow, call, self.endpoint))
        self._chunks = Chunks()
        self._storing = asyncio.create_task(self.edge.objects.put(digest, aiter(self._chunks)))
        self._storing.add_done_callback(lambda _task: self._chunks.end())

    async def data_received(self, chunk: bytes) -> None:
        """Pass bytes on to the store."""
        if self._storing is None or self._storing.done():
            self.drop(chunk)
        else:
            await self._chunks.put(chunk)

    async def put(self) -> None:
        """Note what was stored, once it is."""
        self.require_open()
        if self._storing is None:
            raise RuntimeError("an upload that was not refused is being stored")
        self._chunks.end()
        self.reply(await self.perform(await self._storing))

    def on_connection_close(self) -> None:
        """Keep nothing of an upload that broke off."""
        if self._storing is not None:
            self._storing.cancel()
        super().on_connection_close()


class DownloadHandler(EndpointHandler):
    """Delivers bytes as an attachment."""

    lasting = True

    async def get(self) -> None:
        """Authorise, audit, then stream."""
        self.query()
        content = await self._find()
        await self._require_whole(content)
        self.set_header("Content-Type", Body.BYTES.value)
        self.set_header("Content-Length", str(content.size_bytes))
        self.set_header("Content-Disposition", f"attachment; filename*=UTF-8''{_file_name(content.name)}")
        self.set_header("ETag", f'"{content.digest}"')
        async for chunk in self.edge.objects.read(content.digest):
            self.write(chunk)
            await self.flush()

    async def _find(self) -> Content:
        """Find out what is delivered. Downloads are audited; a run's own inputs are in its plan already."""
        if self.endpoint.caller is Caller.USER:
            return _CONTENT.decode((await self.perform()).body)
        call = self.call()
        return await self.read(lambda uow: access.perform(uow, call, self.endpoint, None))

    async def _require_whole(self, content: Content) -> None:
        """Refuse bytes whose number changed in the store, which would break off or overrun the answer."""
        held = await self.edge.objects.size(content.digest)
        if held is None:
            raise MissingError("not_found", f"the bytes of {content.digest} are gone", remedy=MEND)
        if held != content.size_bytes:
            detail = f"the store holds {held} bytes as {content.digest}, which has {content.size_bytes}"
            raise ConflictError("artifact_hash_mismatch", detail, remedy=MEND)


def require_digest(text: str) -> Digest:
    """Return a digest that is one.

    Raises:
        InvalidError: Otherwise.
    """
    if DIGEST.fullmatch(text) is None:
        fault = Fault(path="$.digest", code="invalid", message="expected sha256: and 64 lower-case hexadecimal digits")
        raise InvalidError("invalid_request", faults=[fault])
    return Digest(text)


def _file_name(path: str) -> str:
    return quote(PurePosixPath(path).name or "content", safe="")
