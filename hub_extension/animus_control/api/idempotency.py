# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One key has at most one effect and one answer.

The answer is stored in the transaction of its effect, so there is never one without the other; a refusal is not
stored. A repeat is authorised again before it gets the stored answer: a lost right is lost for replays, too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import msgspec

from animus_contracts.endpoint import Endpoint
from animus_contracts.projects import Project
from animus_contracts.runs import Run
from animus_control.api.locations import location_of
from animus_control.domain.errors import ConflictError
from animus_control.services import access
from animus_control.services.calls import Call
from animus_control.services.ports import UnitOfWork
from animus_control.services.repositories import AlreadyExistsError, StoredAnswer

KEPT = timedelta(hours=25)
"""How long an answer is kept; at least 24 hours are promised."""

VERSIONED = (Project, Run)
"""What carries a version that If-Match may name."""

encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key in its scope, and the fingerprint of the request it came with."""

    scope: str
    value: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request is answered with.

    Attributes:
        status: HTTP status.
        body: Encoded JSON, empty for none.
        location: Path of what was created, below the API prefix.
        version: Version of the resource, for its ETag.
        replayed: Whether it is the stored answer to an earlier request.
    """

    status: int
    body: bytes
    location: str = ""
    version: int | None = None
    replayed: bool = False


class InProgress:
    """The keys whose requests this process is working on."""

    def __init__(self) -> None:
        self._keys: set[tuple[str, str]] = set()

    @contextmanager
    def only(self, key: Key) -> Iterator[None]:
        """Hold a key while its request is worked on.

        Raises:
            ConflictError: With ``idempotency_in_progress``, when another request holds it.
        """
        held = (key.scope, key.value)
        if held in self._keys:
            raise ConflictError("idempotency_in_progress")
        self._keys.add(held)
        try:
            yield
        finally:
            self._keys.discard(held)


def build_key(value: str, *, subject: str, method: str, path: str, body: bytes) -> Key:
    """Build the key of a request: its scope is caller, method and path; its fingerprint covers the body, too."""
    content = hashlib.sha256(f"{method} {path}\n".encode() + body)
    return Key(f"{subject} {method} {path}", value, content.hexdigest())


def answer_once(uow: UnitOfWork, call: Call, endpoint: Endpoint, message: Any, key: Key | None) -> Answer:
    """Perform an operation, or give the answer it had under the same key.

    Raises:
        ConflictError: With ``idempotency_conflict``, when the key came with another request before; with
            ``idempotency_in_progress``, when another process is about to store an answer under it.
    """
    if key is None:
        return answer(uow, call, endpoint, message)
    stored = uow.idempotency.find(key.scope, key.value)
    if stored is not None:
        return _replay(uow, call, endpoint, key, stored)
    given = answer(uow, call, endpoint, message)
    record = StoredAnswer(fingerprint=key.fingerprint, status=given.status, body=given.body, location=given.location)
    try:
        uow.idempotency.add(key.scope, key.value, record, expires_at=call.now + KEPT)
    except AlreadyExistsError as error:
        raise ConflictError("idempotency_in_progress") from error
    return given


def answer(uow: UnitOfWork, call: Call, endpoint: Endpoint, message: Any) -> Answer:
    """Authorise and perform an operation, and encode its result."""
    result = access.perform(uow, call, endpoint, message)
    return Answer(
        endpoint.status,
        b"" if result is None else encode(result),
        location_of(endpoint, call.path, result),
        result.version if isinstance(result, VERSIONED) else None,
    )


def _replay(uow: UnitOfWork, call: Call, endpoint: Endpoint, key: Key, stored: StoredAnswer) -> Answer:
    # The state moved on since, perhaps by this very request (an archived project refuses writes); the answer to the
    # first request stays the answer.
    with suppress(ConflictError):
        access.enter(uow, call, endpoint)
    if stored.fingerprint != key.fingerprint:
        raise ConflictError(
            "idempotency_conflict",
            "The Idempotency-Key came with another request before",
            remedy="Use a new key for a new request",
        )
    return Answer(200, stored.body, stored.location, replayed=True)
