# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two processes serve: one speaks HTTP and reads, one decides and writes. This is the socket between them.

Each message is a typed struct in MessagePack behind its length (four bytes, big endian). A request is numbered and
answered under its number; besides answers, names of channels come back, to wake who waits. The two are forks of one
process and version, and the socket has no name: nobody else can reach it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Generic, TypeVar, cast

import msgspec

from animus_contracts.decoding import msgpack_decoder
from animus_control.api.desk import DirectDesk, Request
from animus_control.api.idempotency import Answer
from animus_control.api.link_messages import (
    Asked,
    Asking,
    Check,
    Deny,
    Done,
    Perform,
    Ready,
    Refused,
    Reject,
    Telling,
    Woken,
)
from animus_control.api.problems import log_unexpected
from animus_control.api.rejections import Rejection
from animus_control.domain.errors import AnimusError

LENGTH_BYTES = 4
GONE = "The process that decides is gone; ask again under the same Idempotency-Key"

M = TypeVar("M")


class _End(asyncio.Protocol, Generic[M]):
    """One end: sends all that was posted in one turn of the loop at once, and takes apart what arrives."""

    def __init__(self, kind: Any) -> None:
        self._decode: Callable[[bytes], M] = msgpack_decoder(kind).decode
        self._encode = msgspec.msgpack.Encoder().encode
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.WriteTransport | None = None
        self._arrived = bytearray()
        self._posted: list[bytes] = []
        self.lost = self._loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin; called by the loop."""
        self._transport = cast("asyncio.WriteTransport", transport)  # of a stream socket it is one

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - gone is gone
        """End; called by the loop."""
        self._transport = None
        self.lost.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Take whole messages; called by the loop."""
        self._arrived += data
        begin = 0
        while len(self._arrived) >= begin + LENGTH_BYTES:
            body = begin + LENGTH_BYTES
            end = body + int.from_bytes(self._arrived[begin:body], "big")
            if len(self._arrived) < end:
                break
            self.take(self._decode(bytes(self._arrived[body:end])))
            begin = end
        del self._arrived[:begin]

    def take(self, message: M) -> None:
        """Do what a message says."""
        raise NotImplementedError

    def post(self, message: Asking | Telling) -> None:
        """Send a message, with all others of this turn of the loop."""
        body = self._encode(message)
        if not self._posted:
            self._loop.call_soon(self._send)
        self._posted += (len(body).to_bytes(LENGTH_BYTES, "big"), body)

    def close(self) -> None:
        """Send what is posted, and hang up."""
        self._send()
        if self._transport is not None:
            self._transport.close()

    def _send(self) -> None:
        if self._transport is not None and self._posted:
            self._transport.write(b"".join(self._posted))
        self._posted.clear()


class RemoteDesk(_End[Telling]):
    """The desk, as the process sees it that speaks HTTP.

    Args:
        wake: Told the channels on which something is new.
    """

    def __init__(self, wake: Callable[[str], None]) -> None:
        super().__init__(Telling)
        self._wake = wake
        self._waiting: dict[int, asyncio.Future[Answer | None]] = {}
        self._number = 0
        self.ready = self._loop.create_future()

    async def perform(self, request: Request) -> Answer:
        """Have an operation performed; see :class:`animus_control.api.desk.Desk`."""
        answer = await self._ask(
            Perform(
                **self._facts(request),
                if_match=request.if_match,
                message=msgspec.json.encode(request.message),
                key=request.key,
            )
        )
        if answer is None:
            raise RuntimeError("an operation has an answer")
        return answer

    async def deny(self, request: Request, code: str) -> None:
        """Have a denial recorded."""
        await self._ask(Deny(**self._facts(request), code=code))

    async def reject(self, rejection: Rejection) -> None:
        """Have a rejected token recorded."""
        await self._ask(Reject(number=self._next(), rejection=rejection))

    async def check(self) -> None:
        """Have something written."""
        await self._ask(Check(number=self._next()))

    def take(self, message: Telling) -> None:
        """Give an answer to whom it is for; wake who waits."""
        match message:
            case Woken():
                for channel in message.channels:
                    self._wake(channel)
            case Ready():
                self.ready.set_result(None)
            case Done() | Refused():
                waiting = self._waiting.pop(message.number)
                if waiting.done():  # nobody waits any more
                    pass
                elif isinstance(message, Done):
                    waiting.set_result(message.answer)
                else:
                    waiting.set_exception(message.error())

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell everybody who waits."""
        super().connection_lost(exc)
        for waiting in (self.ready, *self._waiting.values()):
            if not waiting.done():
                waiting.set_exception(AnimusError("service_unavailable", GONE))
        self._waiting.clear()

    def _facts(self, request: Request) -> dict[str, Any]:
        return {
            "number": self._next(),
            "operation": request.operation,
            "principal": request.principal,
            "path": dict(request.path),
            "request_id": request.request_id,
        }

    def _next(self) -> int:
        self._number += 1
        return self._number

    async def _ask(self, message: Asking) -> Answer | None:
        if self._transport is None:
            raise AnimusError("service_unavailable", GONE)
        waiting: asyncio.Future[Answer | None] = self._loop.create_future()
        self._waiting[message.number] = waiting
        self.post(message)
        return await waiting


class DeskServer(_End[Asking]):
    """Serves a desk to the process that speaks HTTP, on the loop on which that desk has its work done.

    Args:
        desk: The desk.
    """

    def __init__(self, desk: DirectDesk) -> None:
        super().__init__(Asking)
        self._desk = desk
        self._tasks: set[asyncio.Task[None]] = set()
        self._woken: deque[str] = deque()

    def wake(self, channel: str) -> None:
        """Name a channel on which something is new; called from any thread."""
        self._woken.append(channel)
        # Behind another one there is a turn of the loop on its way already, because only that takes anything out.
        if len(self._woken) == 1 and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._tell_woken)

    def take(self, message: Asking) -> None:
        """Begin to do what is asked."""
        if isinstance(message, Perform):
            try:
                self._desk.begin(message.request(), partial(self._answer, message))
            except Exception as error:  # noqa: BLE001 - a process edge: whoever asked is answered
                self._refuse(message, error)
        else:
            task = self._loop.create_task(self._do(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _do(self, message: Deny | Reject | Check) -> None:
        try:
            match message:
                case Deny():
                    await self._desk.deny(message.request(), message.code)
                case Reject():
                    await self._desk.reject(message.rejection)
                case Check():
                    await self._desk.check()
            self._answer(message, None, None)
        except Exception as error:  # noqa: BLE001 - as above
            self._refuse(message, error)

    def _answer(self, message: Asking, answer: Answer | None, error: Exception | None) -> None:
        if error is None:
            self.post(Done(number=message.number, answer=answer))
        else:
            self._refuse(message, error)

    def _refuse(self, message: Asking, error: Exception) -> None:
        if not isinstance(error, AnimusError):  # the caller learns that it failed, the log how
            operation = message.operation if isinstance(message, Asked) else type(message).__name__
            request_id = message.request_id if isinstance(message, Asked) else ""
            log_unexpected(error, request_id=request_id, operation=operation)
            error = AnimusError("internal_error")
        self.post(Refused.by(error, message.number))

    def _tell_woken(self) -> None:
        channels: dict[str, None] = {}
        while self._woken:
            channels[self._woken.popleft()] = None
        self.post(Woken(channels=list(channels)))
