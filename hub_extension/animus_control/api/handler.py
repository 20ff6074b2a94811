# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One handler serves every operation of the endpoint table: authenticate, parse, decide and record, answer.

Authentication happens when the headers are here, before a body is read. A refusal is audited in a transaction of
its own. Errors leave through one door (:mod:`animus_control.api.problems`), and every answer is logged by an
allow-list of facts: no header, no body, no query, no path.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Mapping
from functools import partial
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from tornado.web import stream_request_body

from animus_contracts import API_PREFIX
from animus_contracts.endpoints import Body, Caller, Endpoint
from animus_contracts.problems import PROBLEM_MEDIA_TYPE
from animus_control.api import parsing, problems
from animus_control.api.authentication import RejectedTokenError, bearer_token, record_rejection
from animus_control.api.browser import BrowserHandler
from animus_control.api.edge import Edge, Work
from animus_control.api.idempotency import Answer, answer_once, build_key
from animus_control.domain.errors import AnimusError, DeniedError, InvalidError
from animus_control.domain.identity import Principal
from animus_control.services import access
from animus_control.services.ports import Call

T = TypeVar("T")

requests_log = logging.getLogger("animus.requests")
encode = msgspec.json.Encoder().encode

# A body somewhat too large is read to its end and dropped, because a client that is still sending would otherwise
# see a broken connection instead of the answer.
DRAINED_BYTES = 8 * parsing.MAX_BODY_BYTES
QUERY_CREDENTIALS = frozenset({"token", "access_token", "api_key", "apikey", "authorization"})


@stream_request_body
class Handler(BrowserHandler):
    """What all handlers share: headers, request ids, problems, the log; and no body is kept unless it is wanted."""

    operation = "unrouted"
    lasting = False  # whether the answer takes as long as its reader likes
    received = 0

    def initialize(self, edge: Edge) -> None:
        """Take the surroundings; called by tornado."""
        self.edge = edge
        self.subject = ""
        given = self.request.headers.get("X-Request-Id", "")
        self.request_id = given if parsing.is_request_id(given) else uuid.uuid4().hex
        self.set_header("X-Request-Id", self.request_id)
        self.edge.in_flight.add(self)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Drop a body nobody wants."""
        return self.drop(chunk)

    def drop(self, chunk: bytes) -> None:
        """Read past bytes that nobody wants, within reason."""
        self.received += len(chunk)
        if self.received > DRAINED_BYTES:
            self.request.connection.stream.close()  # type: ignore[union-attr]  # HTTP/1 is the only protocol served

    def set_default_headers(self) -> None:
        """Set what every answer carries."""
        self.clear_header("Server")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Cache-Control", "no-store")
        self.set_header("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
        self.set_header("Referrer-Policy", "no-referrer")
        if hasattr(self, "request_id"):  # tornado clears the headers before it writes an error
            self.set_header("X-Request-Id", self.request_id)

    def compute_etag(self) -> str | None:
        """No ETag is made of a body; those that matter are versions."""
        return None

    def check_etag_header(self) -> bool:
        """Never answer 304: a run's progress moves on without a new version."""
        return False

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer with a problem."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else AnimusError("internal_error")
        problem = problems.build_problem(error, request_id=self.request_id)
        self.set_status(problem.status)
        for name, value in problems.problem_headers(problem).items():
            self.set_header(name, value)
        self.set_header("Content-Type", PROBLEM_MEDIA_TYPE)
        self.finish(encode(problem))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:
        """Log what nobody foresaw."""
        if value is not None:
            problems.log_unexpected(value, request_id=self.request_id, operation=self.operation)

    def on_connection_close(self) -> None:
        """Forget a caller that hung up."""
        self.edge.in_flight.discard(self)

    def on_finish(self) -> None:
        """Count and log the answer."""
        self.edge.in_flight.discard(self)
        seconds = self.request.request_time()
        self.edge.metrics.count(self.operation, self.get_status(), None if self.lasting else seconds)
        if requests_log.isEnabledFor(logging.INFO):
            story = {
                "event": "request",
                "request_id": self.request_id,
                "operation": self.operation,
                "subject": self.subject,
                "status": self.get_status(),
                "milliseconds": round(seconds * 1000, 3),
            }
            requests_log.info(encode(story).decode())


class EndpointHandler(Handler):
    """What all endpoints share: who calls, and how a decision is made and a refusal recorded."""

    endpoint: Endpoint
    principal: Principal

    def initialize(self, edge: Edge, endpoint: Endpoint, path: Mapping[str, str]) -> None:
        """Take the endpoint and the path's parameters; called by tornado."""
        super().initialize(edge)
        self.endpoint = endpoint
        self.operation = endpoint.operation
        self.parameters = path

    async def prepare(self) -> None:
        """Find out who calls."""
        if not QUERY_CREDENTIALS.isdisjoint(name.lower() for name in self.request.query_arguments):
            raise InvalidError("invalid_query", "A credential never belongs into an address; use the headers")
        try:
            self.principal = await self._authenticate()
        except RejectedTokenError as error:
            await self._record_rejection(error)
            raise
        self.subject = self.principal.subject

    async def decide(self, work: Work[T], *, write: bool) -> T:
        """Run a unit of work; when it is a refusal, record that in a unit of work of its own."""
        try:
            return await (self.edge.write(work) if write else self.edge.read(work))
        except DeniedError as denied:
            error, call = denied, self.call()
            await self.edge.write(lambda uow: access.record_denial(uow, call, self.endpoint, error))
            raise

    def call(self, *, if_match: int | None = None) -> Call:
        """Build the call of this request."""
        return self.edge.call(self.principal, request_id=self.request_id, path=self.parameters, if_match=if_match)

    def query(self) -> Any:
        """Return the parsed query."""
        return parsing.parse_query(self.endpoint.query, self.request.query_arguments)

    def reply(self, answer: Answer) -> None:
        """Send an answer."""
        self.set_status(answer.status)
        if answer.version is not None:
            self.set_header("ETag", f'"{answer.version}"')
        if answer.location:
            self.set_header("Location", self.edge.prefix.rstrip("/") + API_PREFIX + answer.location)
        if answer.replayed:
            self.set_header("Idempotent-Replay", "true")
        if answer.status == HTTPStatus.NO_CONTENT:
            self.finish()
            return
        self.set_header("Content-Type", Body.JSON.value)
        self.finish(answer.body)

    async def _authenticate(self) -> Principal:
        token, browser = bearer_token(self.request.headers.get("Authorization")), self.edge.browser
        if token is None and browser is not None and self.endpoint.caller is Caller.USER:
            token = browser.token(self)
            if token is not None:
                browser.require_same_site(self, self.endpoint)
        return await self.edge.authenticator.authenticate(self.endpoint, self.parameters, token)

    async def _record_rejection(self, error: RejectedTokenError) -> None:
        now, request_id = self.edge.clock(), self.request_id
        self.edge.metrics.count_rejection()
        await self.edge.write(lambda uow: record_rejection(uow, error, now=now, request_id=request_id))


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

    def initialize(self, edge: Edge, endpoint: Endpoint, path: Mapping[str, str], parse: parsing.Parse) -> None:
        """Take the endpoint with its parser; called by tornado."""
        super().initialize(edge, endpoint, path)
        self._parse = parse
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
        call = self.call(if_match=if_match)
        if not endpoint.keyed:
            work = partial(answer_once, call=call, endpoint=endpoint, message=message, key=None)
            self.reply(await self.decide(work, write=endpoint.is_write))
            return
        await self._operate_once(call, message)

    get = post = put = patch = delete = operate

    def message(self) -> Any:
        """Return the parsed body."""
        self.query()
        media_type = self.request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
        if self.endpoint.consumes is Body.JSON and self._body and media_type != Body.JSON:
            raise InvalidError("unsupported_media_type", f"The body must be {Body.JSON.value}")
        return self._parse(bytes(self._body))

    async def _operate_once(self, call: Call, message: Any) -> None:
        endpoint, request = self.endpoint, self.request
        value = parsing.parse_idempotency_key(request.headers.get("Idempotency-Key"))
        key = build_key(value, subject=self.subject, method=endpoint.method, path=request.path, body=bytes(self._body))
        with self.edge.in_progress.only(key):
            work = partial(answer_once, call=call, endpoint=endpoint, message=message, key=key)
            self.reply(await self.decide(work, write=True))


def _too_large() -> InvalidError:
    return InvalidError("body_too_large", f"A body of JSON has at most {parsing.MAX_BODY_BYTES} bytes")
