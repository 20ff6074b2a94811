# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One handler serves every operation of the endpoint table that takes and gives JSON.

Authenticate (before the body is read), parse strictly, then decide and record in one unit of work, then answer.
"""

from __future__ import annotations

from functools import partial
from typing import Any

from animus_contracts.endpoint import Body
from animus_control.api import parsing
from animus_control.api.handler import DRAINED_BYTES, EndpointHandler
from animus_control.api.idempotency import answer, build_key
from animus_control.domain.errors import AnimusError, InvalidError


class BodyHandler(EndpointHandler):
    """What all endpoints with a body share: a refusal is sent after the body was read, unless that is very large.

    A client that is still sending when the connection closes sees a broken connection instead of the answer.
    """

    refusal: AnimusError | None = None

    async def prepare(self) -> None:
        """Open the request; keep a refusal until the body is here."""
        length = int(self.request.headers.get("Content-Length", "0"))
        try:
            self.check_length(length)
            await super().prepare()
            await self.open()
        except AnimusError as error:
            if length > DRAINED_BYTES:
                self.set_header("Connection", "close")
                raise
            self.refusal = error

    def check_length(self, length: int) -> None:
        """Refuse a body by its announced length."""

    async def open(self) -> None:
        """Get ready for the body of an authenticated request."""

    def require_open(self) -> None:
        """Raise the refusal that was kept."""
        if self.refusal is not None:
            raise self.refusal


class OperationHandler(BodyHandler):
    """Serves every endpoint that takes and gives JSON."""

    parse: parsing.Parse

    def initialize(self, **facts: Any) -> None:
        """Begin with an empty body; called by tornado."""
        super().initialize(**facts)
        self._body = bytearray()

    def check_length(self, length: int) -> None:
        """Refuse a body that is too large."""
        if length > parsing.MAX_BODY_BYTES:
            raise _too_large()

    def data_received(self, chunk: bytes) -> None:
        """Collect the body up to its limit."""
        if self.refusal is None and len(self._body) + len(chunk) <= parsing.MAX_BODY_BYTES:
            self._body += chunk
            return
        self.refusal = self.refusal or _too_large()
        self.drop(chunk)

    async def operate(self) -> None:
        """Perform the operation."""
        self.require_open()
        endpoint = self.endpoint
        message = self.message() if endpoint.is_write else self.query()
        if_match = parsing.parse_if_match(self.request.headers.get("If-Match"))
        if endpoint.matches and if_match is None:
            raise InvalidError("precondition_required", remedy="Read the resource and send its ETag as If-Match")
        if not endpoint.is_write:
            self.reply(await self.read(partial(answer, call=self.call(), endpoint=endpoint, message=message)))
        elif not endpoint.keyed:
            self.reply(await self.perform(message, if_match=if_match))
        else:
            await self._perform_once(message, if_match)

    get = post = put = patch = delete = operate

    def message(self) -> Any:
        """Return the parsed body."""
        self.query()
        media_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.endpoint.consumes is Body.JSON and self._body and media_type != Body.JSON:
            raise InvalidError("unsupported_media_type", f"The body must be {Body.JSON.value}")
        return self.parse(bytes(self._body))

    async def _perform_once(self, message: Any, if_match: int | None) -> None:
        endpoint, request = self.endpoint, self.request
        value = parsing.parse_idempotency_key(request.headers.get("Idempotency-Key"))
        key = build_key(value, subject=self.subject, method=endpoint.method, path=request.path, body=bytes(self._body))
        with self.edge.in_progress.only(key):
            self.reply(await self.perform(message, if_match=if_match, key=key))


def _too_large() -> InvalidError:
    return InvalidError("body_too_large", f"A body of JSON has at most {parsing.MAX_BODY_BYTES} bytes")
