# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The one place where an error becomes an HTTP status and a problem (RFC 9457).

What nobody foresaw becomes ``internal_error``; its story goes to the log, never into the answer.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError

from animus_contracts.problems import CODES, PROBLEM_TYPE_BASE, Problem
from animus_control.domain.errors import AnimusError

log = logging.getLogger("animus.errors")
encode = msgspec.json.Encoder().encode

RETRY_AFTER_SECONDS = {HTTPStatus.SERVICE_UNAVAILABLE: "1", HTTPStatus.INSUFFICIENT_STORAGE: "30"}
_LONGEST_MESSAGE = 300

# Tornado refuses a few malformed requests itself, before any of our code sees them.
_HTTP_ERRORS = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.FORBIDDEN: "forbidden",
}


def build_problem(error: BaseException, *, request_id: str) -> Problem:
    """Build the problem that tells a caller of an error.

    Args:
        error: A domain error, an error of the HTTP server, or anything else.
        request_id: Correlates the answer with audit and logs.
    """
    known = _as_domain_error(error)
    code = CODES[known.code]
    return Problem(
        type=PROBLEM_TYPE_BASE + known.code,
        title=code.title,
        status=code.status,
        code=known.code,
        detail=known.detail if known.detail != code.title else "",
        remedy=known.remedy,
        request_id=request_id,
        retryable=code.retryable,
        errors=known.faults,
        extra=known.extra,
    )


def problem_headers(problem: Problem) -> Mapping[str, str]:
    """Return the headers a problem's status asks for."""
    if problem.status == HTTPStatus.UNAUTHORIZED:
        return {"WWW-Authenticate": 'Bearer realm="animus"'}
    retry_after = RETRY_AFTER_SECONDS.get(HTTPStatus(problem.status))
    return {"Retry-After": retry_after} if retry_after else {}


def log_unexpected(error: BaseException, *, request_id: str, operation: str) -> None:
    """Log an error nobody foresaw: its type, the first line of its message, and where it happened.

    Only the first line, cut short, because database drivers append statements and their values below it.
    """
    if isinstance(error, AnimusError | HTTPError | StreamClosedError):
        return
    lines = str(error).splitlines() or [""]
    story = {
        "event": "unexpected_error",
        "request_id": request_id,
        "operation": operation,
        "type": type(error).__qualname__,
        "message": lines[0][:_LONGEST_MESSAGE],
        "frames": [
            f"{frame.filename}:{frame.lineno} {frame.name}" for frame in traceback.extract_tb(error.__traceback__)
        ],
    }
    log.error(encode(story).decode())


def _as_domain_error(error: BaseException) -> AnimusError:
    if isinstance(error, AnimusError):
        return error
    if isinstance(error, HTTPError):
        if error.status_code < HTTPStatus.INTERNAL_SERVER_ERROR:
            return AnimusError(_HTTP_ERRORS.get(HTTPStatus(error.status_code), "invalid_request"))
        return AnimusError("service_unavailable")  # the Hub's client reports an unreachable Hub as 500 or 502
    return AnimusError("internal_error")
