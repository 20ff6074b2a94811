# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the process that speaks HTTP and the one that decides say to each other: structs, numbered and answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from animus_contracts.decoding import json_decoder
from animus_contracts.endpoint import Body, Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.problems import Fault
from animus_control.api.desk import Request
from animus_control.api.idempotency import Answer, Key
from animus_control.api.rejections import Rejection
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import Principal


def _decoder(endpoint: Endpoint) -> Callable[[bytes], Any]:
    """Return what understands an operation's message: its body, or what is known of bytes that streamed past."""
    kind = endpoint.response if endpoint.consumes is Body.BYTES else endpoint.request
    return json_decoder(kind).decode


MESSAGES = {endpoint.operation: _decoder(endpoint) for endpoint in ENDPOINTS}


class Message(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True):
    """What crosses."""


class Asked(Message, frozen=True, kw_only=True):
    """What is asked in a request; its fields are those of :class:`animus_control.api.desk.Request`."""

    number: int
    operation: str
    principal: Principal
    path: dict[str, str]
    request_id: str

    def request(self, **more: Any) -> Request:
        """Build the request."""
        return Request(
            operation=self.operation, principal=self.principal, path=self.path, request_id=self.request_id, **more
        )


class Perform(Asked, frozen=True, kw_only=True):
    """Perform an operation; ``message`` is JSON."""

    if_match: int | None
    message: bytes
    key: Key | None

    def request(self, **more: Any) -> Request:
        """Build the request."""
        said = MESSAGES[self.operation](self.message)
        return super().request(if_match=self.if_match, message=said, key=self.key, **more)


class Deny(Asked, frozen=True, kw_only=True):
    """Record that a request was denied where it was read."""

    code: str


class Reject(Message, frozen=True, kw_only=True):
    """Record that a token was refused."""

    number: int
    rejection: Rejection


class Check(Message, frozen=True, kw_only=True):
    """See that something can be written."""

    number: int


class Done(Message, frozen=True, kw_only=True):
    """It is done and durable."""

    number: int
    answer: Answer | None = None


class Refused(Message, frozen=True, kw_only=True):
    """It is refused, for the reason that the caller is told."""

    number: int
    code: str
    detail: str
    remedy: str
    faults: list[Fault]
    extra: dict[str, Any]

    @classmethod
    def by(cls, error: AnimusError, number: int) -> Refused:
        """Build the refusal that an error is."""
        return cls(
            number=number,
            code=error.code,
            detail=error.detail,
            remedy=error.remedy,
            faults=error.faults,
            extra=error.extra,
        )

    def error(self) -> AnimusError:
        """Return the error that it was."""
        return AnimusError(self.code, self.detail, remedy=self.remedy, faults=self.faults, extra=self.extra)


class Ready(Message, frozen=True, kw_only=True):
    """The database is open; said first and once."""


class Woken(Message, frozen=True, kw_only=True):
    """Something is new on these channels."""

    channels: list[str]


Asking = Perform | Deny | Reject | Check
Telling = Done | Refused | Ready | Woken
