# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where requests that may change something are decided: data goes in, an answer or a refusal comes out.

A refusal is recorded in a unit of work of its own, because the refused one is rolled back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping
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


class Desk(Protocol):
    """Takes requests."""

    def perform(self, request: Request) -> Awaitable[Answer]:
        """Begin to authorise and perform an operation.

        Raises:
            AnimusError: If it is refused; a denial has been recorded.
        """

    async def deny(self, request: Request, code: str) -> None:
        """Record that a request was denied where it was read."""

    async def reject(self, rejection: Rejection) -> None:
        """Record that a token was presented where, or when, it has no force."""

    async def check(self) -> None:
        """Raise when nothing can be written now."""


class LocalDesk:
    """The desk beside the writer.

    Args:
        backend: Does the work.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def perform(self, request: Request) -> asyncio.Future[Answer]:
        """Begin to authorise and perform an operation; see :class:`Desk`.

        It is no coroutine, because a task for each request would cost as much as it takes to authorise one.
        """
        call = self._backend.call(
            request.principal, request_id=request.request_id, path=request.path, if_match=request.if_match
        )
        endpoint = BY_OPERATION[request.operation]
        answered: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

        def tell(done: asyncio.Future[Answer]) -> None:
            denied = done.exception()
            if isinstance(denied, DeniedError):
                recording = self._backend.write(lambda uow: access.record_denial(uow, call, endpoint, denied))
                recording.add_done_callback(lambda recorded: _fail(answered, recorded.exception() or denied))
            elif denied is not None:
                _fail(answered, denied)
            elif not answered.done():
                answered.set_result(done.result())

        work = partial(answer_once, call=call, endpoint=endpoint, message=request.message, key=request.key)
        self._backend.write(work).add_done_callback(tell)
        return answered

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


def _fail(waiting: asyncio.Future[Any], error: BaseException) -> None:
    if not waiting.done():  # somebody still waits
        waiting.set_exception(error)
