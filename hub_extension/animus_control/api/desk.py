# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where requests that may change something are decided: data goes in, an answer or a refusal comes out.

A refusal is recorded in a unit of work of its own, because the refused one is rolled back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from animus_contracts.endpoints import BY_OPERATION
from animus_control.api.backend import Backend
from animus_control.api.idempotency import Answer, Key, answer_once
from animus_control.api.rejections import Rejection, record_rejection
from animus_control.domain.errors import AnimusError, DeniedError
from animus_control.domain.identity import Principal
from animus_control.services import access


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """An authenticated request for one operation.

    Attributes:
        operation: What is asked for; a name of the endpoint table.
        principal: Who asks.
        path: Parameters of the path, by name.
        request_id: Correlates answer, audit and logs.
        if_match: The version given in If-Match, or None.
        message: The parsed body, or what stands in its place where bytes stream.
        key: The idempotency key, where the operation has one.
    """

    operation: str
    principal: Principal
    path: Mapping[str, str]
    request_id: str
    if_match: int | None = None
    message: Any = None
    key: Key | None = None


Tell = Callable[[Answer | None, Exception | None], object]
"""Told an answer, or why there is none."""


class Desk(Protocol):
    """Takes requests."""

    async def perform(self, request: Request) -> Answer:
        """Authorise and perform an operation.

        Raises:
            AnimusError: If it is refused; a denial has been recorded.
        """

    async def deny(self, request: Request, code: str) -> None:
        """Record that a request was denied where it was read."""

    async def reject(self, rejection: Rejection) -> None:
        """Record that a token was presented where, or when, it has no force."""

    async def check(self) -> None:
        """Raise when nothing can be written now."""


class DirectDesk(Desk, Protocol):
    """A desk in this process: whoever has many requests is told what came of them without waiting for each."""

    def begin(self, request: Request, tell: Tell) -> None:
        """Begin to authorise and perform an operation.

        Args:
            request: What is asked.
            tell: Told what came of it, on the thread that writes; of a denial when it has been recorded.
        """


class LocalDesk:
    """The desk beside the writer.

    Args:
        backend: Does the work.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def perform(self, request: Request) -> Answer:
        """Authorise and perform an operation; see :class:`Desk`."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[Answer] = loop.create_future()
        self.begin(request, lambda answer, error: loop.call_soon_threadsafe(_settle, waiting, answer, error))
        return await waiting

    def begin(self, request: Request, tell: Tell) -> None:
        """Begin to authorise and perform an operation; see :class:`DirectDesk`."""
        call = self._backend.call(
            request.principal, request_id=request.request_id, path=request.path, if_match=request.if_match
        )
        endpoint, database = BY_OPERATION[request.operation], self._backend.database

        def told(answer: Answer | None, error: Exception | None) -> None:
            if isinstance(error, DeniedError):
                record = partial(access.record_denial, call=call, endpoint=endpoint, error=error)
                database.begin(record, lambda _recorded, failure: tell(None, failure or error))
            else:
                tell(answer, error)

        work = partial(answer_once, call=call, endpoint=endpoint, message=request.message, key=request.key)
        database.begin(work, told)

    async def deny(self, request: Request, code: str) -> None:
        """Record a denial; see :class:`Desk`."""
        call = self._backend.call(request.principal, request_id=request.request_id, path=request.path)
        endpoint, error = BY_OPERATION[request.operation], DeniedError(code)
        await self._backend.write(lambda uow: access.record_denial(uow, call, endpoint, error))

    async def reject(self, rejection: Rejection) -> None:
        """Record a rejected token; see :class:`Desk`."""
        now = self._backend.clock()
        await self._backend.write(lambda uow: record_rejection(uow, rejection, now=now))

    async def check(self) -> None:
        """Write something; see :class:`Desk`."""
        backend = self._backend
        try:
            await asyncio.get_running_loop().run_in_executor(backend.readers, backend.database.check)
        except TimeoutError as error:
            raise AnimusError("service_unavailable", "nothing was written for seconds") from error


def _settle(waiting: asyncio.Future[Answer], answer: Answer | None, error: Exception | None) -> None:
    if waiting.done():
        return  # nobody waits any more
    if answer is not None:
        waiting.set_result(answer)
    else:
        waiting.set_exception(error or RuntimeError("an operation has an answer"))
