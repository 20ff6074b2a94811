# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One operation of the API: everything that router, document, authorisation and clients must know of it."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts import API_PREFIX
from animus_contracts.permissions import Permission


class Caller(StrEnum):
    """Which kind of credential an endpoint takes."""

    ANYONE = "anyone"
    USER = "user"
    EXECUTOR = "executor"
    RUN = "run"


class Body(StrEnum):
    """What a request or a response carries besides JSON."""

    JSON = "application/json"
    BYTES = "application/octet-stream"
    EVENTS = "text/event-stream"
    NONE = ""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of the API.

    Attributes:
        operation: Name of the operation, ``resource.verb``; the key of its handler.
        method: HTTP method.
        path: Template below the API prefix.
        caller: Whose credential it takes.
        permission: What a project member needs; None when the caller kind alone decides (or for platform operations,
            see ``platform_admin``).
        platform_admin: Whether only a platform administrator may call it.
        request: Type of the JSON body, None when there is none.
        query: Type of the query, None when there is none.
        response: Type of the answer, None for an empty or a raw one.
        consumes: Media type of the request body.
        produces: Media type of the answer.
        status: Status on success.
        keyed: Whether an Idempotency-Key is required. Every POST of a user is keyed; reports of the data plane carry
            event ids, epochs and sequences instead and are idempotent by those.
        matches: Whether If-Match is required.
        writes_archived: Whether a write is possible in an archived project.
        summary: What it does, for the documentation.
    """

    operation: str
    method: str
    path: str
    summary: str
    caller: Caller = Caller.USER
    permission: Permission | None = None
    platform_admin: bool = False
    request: Any = None
    query: Any = None
    response: Any = None
    consumes: Body = Body.NONE
    produces: Body = Body.JSON
    status: int = 200
    keyed: bool = False
    matches: bool = False
    writes_archived: bool = False

    @property
    def url(self) -> str:
        """The template with the API prefix."""
        return API_PREFIX + self.path

    @property
    def project_scoped(self) -> bool:
        """Whether the operation happens inside one project."""
        return "{project}" in self.path

    @property
    def is_write(self) -> bool:
        """Whether the operation changes anything."""
        return self.method not in {"GET", "HEAD"}
