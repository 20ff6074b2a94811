# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One call of the API: paths, methods and types come from the endpoint table, never from a string written here.

A request is repeated only when repeating cannot do harm: it reads, it stores bytes under their own digest, or it
carries an idempotency key (the same one in every repetition). Waiting between attempts is bounded and jittered.
Whatever goes wrong leaves here as an ``AnimusError``; the token stays in a header and never in a message.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote

import httpx
import msgspec

from animus.errors import UnreachableError
from animus.keys import new_key
from animus.refusals import NOWHERE, problem_of
from animus.session import Session
from animus_contracts.decoding import decode_json
from animus_contracts.endpoint import Body, Endpoint
from animus_contracts.endpoints import BY_OPERATION

ATTEMPTS = 5
FIRST_WAIT = 0.25
LONGEST_WAIT = 4.0
PATIENCE = 10.0
"""How long somebody is kept waiting in silence before being told; a full disk asks for more than that."""

TIMEOUT = httpx.Timeout(30.0, connect=5.0)
STREAM_TIMEOUT = httpx.Timeout(45.0, connect=5.0)  # the server says something at least every 15 seconds


class Transport:
    """Carries calls to the control plane.

    Args:
        session: Address and credential.
        http: An httpx client, for tests; one of our own when absent.
        sleep: Waits, in seconds.
    """

    def __init__(
        self, session: Session, *, http: httpx.Client | None = None, sleep: Callable[[float], None] = time.sleep
    ) -> None:
        self.session = session
        self._http = http or httpx.Client(timeout=TIMEOUT, trust_env=not session.is_loopback)
        self._headers = {"Authorization": f"Bearer {session.token}"}
        self._sleep = sleep

    def __repr__(self) -> str:
        return f"Transport({self.session.url!r})"

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def call(
        self,
        operation: str,
        path: Mapping[str, str] = NOWHERE,
        body: msgspec.Struct | None = None,
        *,
        query: msgspec.Struct | None = None,
        key: str = "",
    ) -> Any:
        """Perform an operation and decode its answer.

        Args:
            operation: Name in the endpoint table.
            path: Values for the names in the path.
            body: Message to send.
            query: Query to send.
            key: Idempotency key; a new one when absent and the endpoint wants one.

        Returns:
            The answer, of the type the table names; None when it has none.

        Raises:
            AnimusError: For every refusal and failure.
        """
        endpoint = BY_OPERATION[operation]
        headers = {"Accept": "application/json"}
        if endpoint.keyed:
            headers["Idempotency-Key"] = key or new_key()
        if endpoint.consumes is Body.JSON:
            headers["Content-Type"] = endpoint.consumes
        content = b"" if body is None else msgspec.json.encode(body)
        reply = self._persist(
            endpoint, lambda: self._send(endpoint, path, query=query, headers=headers, content=content)
        )
        return decode_json(reply.content, endpoint.response) if endpoint.response else None

    def upload(self, operation: str, path: Mapping[str, str], chunks: Callable[[], Iterable[bytes]], size: int) -> Any:
        """Send bytes; ``chunks`` is called again for every attempt and must yield the same ``size`` bytes."""
        endpoint = BY_OPERATION[operation]
        headers = {"Content-Type": str(endpoint.consumes), "Content-Length": str(size)}
        reply = self._persist(endpoint, lambda: self._send(endpoint, path, headers=headers, content=chunks()))
        return decode_json(reply.content, endpoint.response)

    @contextmanager
    def stream(
        self, operation: str, path: Mapping[str, str] = NOWHERE, *, query: msgspec.Struct | None = None
    ) -> Iterator[httpx.Response]:
        """Open an answer that is read piece by piece; errors while reading leave as ``UnreachableError``."""
        endpoint = BY_OPERATION[operation]
        request = self._http.build_request(
            endpoint.method,
            self._url(endpoint, path),
            params=_parameters(query),
            headers=self._headers | {"Accept": str(endpoint.produces)},
            timeout=STREAM_TIMEOUT,
        )
        with _translated(self.session.url):
            reply = self._http.send(request, stream=True)
            try:
                if reply.is_error:
                    reply.read()
                    raise problem_of(reply, path)
                yield reply
            finally:
                reply.close()

    def _send(
        self,
        endpoint: Endpoint,
        path: Mapping[str, str],
        *,
        headers: dict[str, str],
        content: bytes | Iterable[bytes],
        query: msgspec.Struct | None = None,
    ) -> httpx.Response:
        with _translated(self.session.url):
            reply = self._http.request(
                endpoint.method,
                self._url(endpoint, path),
                params=_parameters(query),
                headers=self._headers | headers,
                content=content,
            )
        if not reply.is_success:
            raise problem_of(reply, path)
        return reply

    def _persist(self, endpoint: Endpoint, send: Callable[[], httpx.Response]) -> httpx.Response:
        patient = endpoint.keyed or endpoint.method in {"GET", "PUT"}
        waited = 0.0
        for attempt in range(ATTEMPTS):
            try:
                return send()
            except UnreachableError as error:
                wait = max(error.retry_after, pause(attempt))
                waited += wait
                if not patient or attempt == ATTEMPTS - 1 or waited > PATIENCE:
                    raise
                self._sleep(wait)
        raise AssertionError("the last attempt returns or raises")

    def _url(self, endpoint: Endpoint, path: Mapping[str, str]) -> str:
        names = {name: quote(value, safe="") for name, value in path.items()}
        return self.session.url + endpoint.url.format_map(names)


def pause(attempt: int) -> float:
    """Return how long to wait after the ``attempt``-th failure (from 0), in seconds: exponential, full jitter."""
    return random.uniform(0, min(LONGEST_WAIT, FIRST_WAIT * 2**attempt))  # noqa: S311  # spreads load, guards nothing


def _parameters(query: msgspec.Struct | None) -> dict[str, Any]:
    return {} if query is None else {k: v for k, v in msgspec.to_builtins(query).items() if v is not None}


@contextmanager
def _translated(url: str) -> Iterator[None]:
    try:
        yield
    except httpx.TransportError as error:
        raise UnreachableError(
            "unreachable",
            f"no answer from {url} ({type(error).__name__})",
            remedy="is the control plane running, and is the address right? Repeating the command is safe",
        ) from error
