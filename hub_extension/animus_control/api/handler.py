# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One handler serves every operation of the endpoint table: authenticate, parse, decide and record, answer.

Authentication happens when the headers are here, before a body is read. What may change something is decided at the
desk (:mod:`animus_control.api.desk`). Errors leave through one door (:mod:`animus_control.api.problems`), and every
answer is logged by an allow-list of facts: no header, no body, no query, no path.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Awaitable, Mapping
from http import HTTPStatus
from typing import Any, TypeVar

import msgspec
from tornado.web import stream_request_body

from animus_contracts import API_PREFIX
from animus_contracts.endpoint import Body, Caller, Endpoint
from animus_contracts.problems import PROBLEM_MEDIA_TYPE
from animus_control.api import parsing, problems
from animus_control.api.authentication import RejectedTokenError, bearer_token
from animus_control.api.backend import Work
from animus_control.api.browser import BrowserHandler
from animus_control.api.desk import Request
from animus_control.api.edge import Edge
from animus_control.api.idempotency import Answer, Key
from animus_control.domain.errors import AnimusError, DeniedError, InvalidError
from animus_control.domain.identity import Principal
from animus_control.failpoints import AFTER, BEFORE, failpoint
from animus_control.services.calls import Call

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

    operation: str = "unrouted"
    lasting = False  # whether the answer takes as long as its reader likes
    received = 0

    edge: Edge

    def initialize(self, **facts: Any) -> None:
        """Take the surroundings and what else the route was built with; called by tornado."""
        for name, value in facts.items():
            setattr(self, name, value)
        self.subject = ""
        given = self.request.headers.get("X-Request-Id", "")
        self.request_id = given if parsing.is_request_id(given) else uuid.uuid4().hex
        self.set_header("X-Request-Id", self.request_id)
        self.edge.in_flight.add(self)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Drop a body nobody wants."""
        self.drop(chunk)
        return None

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

    def write_error(self, status_code: int, **kwargs: Any) -> None:  # noqa: ARG002 - the problem has the status
        """Answer with a problem."""
        error = kwargs["exc_info"][1] if "exc_info" in kwargs else AnimusError("internal_error")
        problem = problems.build_problem(error, request_id=self.request_id)
        self.set_status(problem.status)
        for name, value in problems.problem_headers(problem).items():
            self.set_header(name, value)
        self.set_header("Content-Type", PROBLEM_MEDIA_TYPE)
        self.finish(encode(problem))

    def log_exception(self, typ: Any, value: BaseException | None, tb: Any) -> None:  # noqa: ARG002 - tornado's signature
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
    """What all endpoints share: who calls, and how it is decided."""

    endpoint: Endpoint
    principal: Principal
    parameters: Mapping[str, str]

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

    async def read(self, work: Work[T]) -> T:
        """Run a unit of work that only reads; when it is denied, have that recorded."""
        failpoint(BEFORE, self.endpoint.operation)
        try:
            result = await self.edge.read(work)
        except DeniedError as denied:
            await self.edge.desk.deny(self.request_for(), denied.code)
            raise
        failpoint(AFTER, self.endpoint.operation)
        return result

    async def perform(self, message: Any = None, *, if_match: int | None = None, key: Key | None = None) -> Answer:
        """Have the operation performed that may change something."""
        failpoint(BEFORE, self.endpoint.operation)
        answer = await self.edge.desk.perform(self.request_for(message, if_match=if_match, key=key))
        failpoint(AFTER, self.endpoint.operation)
        return answer

    def request_for(self, message: Any = None, *, if_match: int | None = None, key: Key | None = None) -> Request:
        """Build what the desk is asked."""
        return Request(
            operation=self.endpoint.operation,
            principal=self.principal,
            path=self.parameters,
            request_id=self.request_id,
            if_match=if_match,
            message=message,
            key=key,
        )

    def call(self) -> Call:
        """Build the call with which this request reads."""
        return self.edge.call(self.principal, request_id=self.request_id, path=self.parameters)

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
        self.edge.metrics.count_rejection()
        if error.known is not None or self.edge.rejections.take():
            await self.edge.desk.reject(error.rejection(self.request_id))
