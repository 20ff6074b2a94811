# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One call of the API as a campaign makes it: not answered, refused, or answered; and every answer is held to I14.

A client of ours would repeat and translate; here it must be seen what really came back.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import httpx
import msgspec

from animus_contracts.decoding import decode_json
from animus_contracts.endpoint import Body
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.problems import CODES, PROBLEM_MEDIA_TYPE, Problem

UNABLE = frozenset({503, 507})


class UnansweredError(Exception):
    """No answer, or one that says to come back: the same request may be sent again."""


class RefusedError(Exception):
    """The request was refused for good."""


class Caller:
    """Calls operations of the endpoint table at one of several control planes, the next one when one does not answer.

    Args:
        urls: The control planes.
        complaints: Where answers are noted that no fault excuses.
    """

    def __init__(self, urls: Sequence[str], complaints: list[str]) -> None:
        self._urls = list(urls)
        self._complaints = complaints
        self._http = httpx.Client(timeout=httpx.Timeout(15.0, connect=2.0), trust_env=False)

    def close(self) -> None:
        self._http.close()

    def set_timeout(self, seconds: float) -> None:
        """Wait no longer than this for an answer."""
        self._http.timeout = httpx.Timeout(seconds)

    def call(self, token: str, operation: str, body: Any, *, key: str = "", **names: str) -> Any:
        """Call once; bytes are sent as they are, messages as JSON."""
        endpoint = BY_OPERATION[operation]
        headers = {"Authorization": f"Bearer {token}", "Content-Type": endpoint.consumes.value}
        if endpoint.keyed:
            headers["Idempotency-Key"] = key or uuid4().hex
        content = body if endpoint.consumes is Body.BYTES else msgspec.json.encode(body)
        url = self._urls[0] + endpoint.url.format(**names)
        try:
            answer = self._http.request(endpoint.method, url, content=content, headers=headers)
        except httpx.TransportError as error:
            self._urls.append(self._urls.pop(0))
            raise UnansweredError(str(error)) from error
        if answer.is_error:
            raise self._refusal(operation, answer)
        return decode_json(answer.content, endpoint.response)

    def _refusal(self, operation: str, answer: httpx.Response) -> Exception:
        status, said = answer.status_code, answer.text[:300]
        if answer.headers.get("Content-Type") != PROBLEM_MEDIA_TYPE:
            self._complaints.append(f"I14: {operation} was answered {status} without a problem: {said}")
            return RefusedError(said)
        problem = decode_json(answer.content, Problem)
        if problem.code not in CODES:
            self._complaints.append(f"I14: {operation} was answered {status} with an unknown code: {said}")
        if status in UNABLE or problem.code == "idempotency_in_progress":
            if "Retry-After" not in answer.headers:
                self._complaints.append(f"I14: {operation} was answered {status} without a time to come back")
            return UnansweredError(said)
        if answer.is_server_error:
            self._complaints.append(f"I14: {operation} was answered {status}: {said}")
        return RefusedError(said)
