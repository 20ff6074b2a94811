# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The runner's side of the data plane protocol: a run token may report, fetch inputs and upload, nothing else.

Every call either succeeds or raises one of :mod:`animus_runner.exits`; the token never leaves the header.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import httpx
import msgspec

from animus_contracts.decoding import decode_json
from animus_contracts.digests import Digest
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.problems import Problem
from animus_contracts.run_events import EventsAccepted, ReportEvents
from animus_contracts.runs import FailureReason
from animus_runner.exits import FailedError, LostError, UnreachableError
from animus_runner.objects import WrongBytesError
from animus_runner.token_life import TokenLife

T = TypeVar("T")

CONNECT_SECONDS = 5.0
READ_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
"""How long a step repeats a call that finds no answer, unless it is told otherwise."""

CHUNK = 1 << 20
TRUST = ssl.create_default_context()  # reading the certificates takes longer than a cell, and is done before forks
httpx.Client(verify=TRUST, trust_env=False).close()  # and so is the half of httpx that comes with the first client
UNAUTHORISED = 401
"""The token has run out, and the executor's next heartbeat revives it. Whether the attempt still counts is told to the
executor, which ends us when it does not."""

BUSY = frozenset({UNAUTHORISED, 408, 429})
"""To be repeated."""

LOST = frozenset({403, 409, 410})
DAMAGED = frozenset({404, 422})
"""How the control plane says that its store has not the bytes of an input any more, or others."""


class ControlPlane:
    """The control plane, for one attempt.

    Args:
        base_url: Where it is, without the API prefix.
        execution_id: The attempt.
        token: The run token.
        life: How long it may be presented; for ever when nobody says.
    """

    def __init__(self, base_url: str, execution_id: str, token: str, life: TokenLife | None = None) -> None:
        self._life = life or TokenLife()
        self._base = base_url.rstrip("/")
        self._execution = execution_id
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {token}"},
            timeout=httpx.Timeout(READ_SECONDS, connect=CONNECT_SECONDS),
            verify=TRUST,
            trust_env=False,  # the address is the executor's; a proxy variable must not redirect a token
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def report(self, message: ReportEvents) -> EventsAccepted:
        """Report events in order.

        Raises:
            LostError: If the attempt no longer holds the run.
            UnreachableError: If there is no answer now.
        """
        body = msgspec.json.encode(message)
        response = self._send("executions.report", content=body, headers={"Content-Type": "application/json"})
        try:
            return decode_json(response.content, EventsAccepted)
        except msgspec.DecodeError as error:
            raise UnreachableError(f"the answer is not what is promised: {error}") from error

    @contextmanager
    def fetch_input(self, digest: Digest) -> Iterator[Iterator[bytes]]:
        """Fetch one file of a bound dataset version, as chunks.

        Raises:
            WrongBytesError: If the store has not these bytes any more.
            LostError: If the attempt no longer holds the run.
            UnreachableError: If there is no answer now.
        """
        endpoint = BY_OPERATION["executions.input"]
        url = self._url("executions.input", digest=digest)
        self._check_token()
        try:
            with self._client.stream(endpoint.method, url) as response:
                if response.is_error:
                    response.read()
                    self._refused(response, DAMAGED)
                yield response.iter_bytes(CHUNK)
        except httpx.TransportError as error:
            raise UnreachableError(str(error)) from error

    def put_object(self, digest: Digest, path: Path) -> None:
        """Upload a file under its digest.

        Raises:
            FailedError: If the control plane refuses the bytes.
            LostError: If the attempt no longer holds the run.
            UnreachableError: If there is no answer now.
        """
        size = path.stat().st_size
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        with path.open("rb") as file:
            content = iter(lambda: file.read(CHUNK), b"")
            self._send("executions.put_object", content=content, headers=headers, digest=digest)

    def _url(self, operation: str, **names: str) -> str:
        return self._base + BY_OPERATION[operation].url.format(execution=self._execution, **names)

    def _send(self, operation: str, *, content: Any, headers: dict[str, str], **names: str) -> httpx.Response:
        url = self._url(operation, **names)
        self._check_token()
        try:
            response = self._client.request(BY_OPERATION[operation].method, url, content=content, headers=headers)
        except httpx.TransportError as error:
            raise UnreachableError(f"{type(error).__name__}: {error}") from error
        if response.is_error:
            self._refused(response)
        return response

    def _check_token(self) -> None:
        if self._life.is_over:
            raise UnreachableError("the run token has run out, and no heartbeat of the executor has renewed it yet")

    def _refused(self, response: httpx.Response, damaged: frozenset[int] = frozenset()) -> NoReturn:
        problem = _problem(response)
        if response.status_code == UNAUTHORISED:
            self._life.refused()
        _raise(response.status_code, problem, damaged)


def patiently(step: Callable[[], T], *, patience: float = PATIENCE_SECONDS) -> T:
    """Repeat a step while the control plane cannot be reached.

    Raises:
        FailedError: As infrastructure, when there was no answer for ``patience`` seconds.
    """
    deadline = time.monotonic() + patience
    pause = 0.1
    while True:
        try:
            return step()
        except UnreachableError as error:
            if time.monotonic() + pause > deadline:
                raise FailedError(
                    FailureReason.INFRASTRUCTURE,
                    "The control plane could not be reached to store what the run produced.",
                    detail=str(error),
                    remedy="Submit the run again; if it happens again, tell the operator of the control plane.",
                ) from error
        time.sleep(pause)
        pause = min(pause * 2, 2.0)


def _problem(response: httpx.Response) -> Problem:
    try:
        return decode_json(response.content, Problem)
    except msgspec.DecodeError as error:  # something on the way says so, which knows nothing about runs
        raise UnreachableError(f"{response.status_code}: {response.text[:200]}") from error


def _raise(status: int, problem: Problem, damaged: frozenset[int]) -> NoReturn:
    text = f"{status} {problem.code}: {problem.detail or problem.title}"
    if status in LOST:
        raise LostError(text)
    if status in damaged:
        raise WrongBytesError(text)
    if httpx.codes.is_server_error(status) or status in BUSY:
        raise UnreachableError(text)
    raise FailedError(
        FailureReason.INFRASTRUCTURE,
        "The control plane refused what the run sent.",
        detail=text,
        remedy="Submit the run again; if it happens again, tell the operator of the control plane.",
    )
