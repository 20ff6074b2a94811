# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What arrives is checked before anything is built of it: size, depth, syntax, members, types, in this order.

Nothing is guessed and nothing is ignored: an unknown member, a duplicate one, data after the end, a query parameter
given twice or a NUL character (which PostgreSQL cannot store) is a fault, and the answer names its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from animus_contracts.decoding import convert, json_decoder
from animus_contracts.problems import Fault
from animus_control.domain.errors import InvalidError

MAX_BODY_BYTES = 1024 * 1024
MAX_DEPTH = 32
MAX_HEADER_BYTES = 16 * 1024

Parse = Callable[[bytes], Any]

# Strings are matched as a whole (possessively, so that no input is scanned twice), which leaves the real brackets.
_TOKENS = re.compile(rb'"(?:[^"\\]++|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
_PLACE = re.compile(r"^(?P<message>.*) - at `(?P<path>\$.*)`$", re.DOTALL)
_VERSION = re.compile(r'"([0-9]{1,15})"')
_IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{8,128}")


def body_parser(message_type: Any) -> Parse:
    """Build the parser of a JSON body, once per endpoint.

    Args:
        message_type: The contract type; None for an endpoint whose body is empty or ``{}``.

    Returns:
        A function from the body's bytes to the message; it raises :class:`InvalidError`.
    """
    if message_type is None:
        return _parse_nothing
    decode = json_decoder(message_type).decode

    def parse(body: bytes) -> Any:
        check_depth(body)
        try:
            message = decode(body)
        except msgspec.ValidationError as error:
            raise InvalidError("invalid_request", faults=[_fault(error)]) from error
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise InvalidError("invalid_json", f"The body is not JSON: {error}") from error
        check_members(body)
        return message

    return parse


def parse_query(query_type: Any, arguments: Mapping[str, list[bytes]]) -> Any:
    """Read query parameters into the endpoint's query type.

    Raises:
        InvalidError: With code ``invalid_query``, for an unknown, repeated or ill-typed parameter.
    """
    values = {}
    for name, given in arguments.items():
        if len(given) != 1:
            raise _invalid_query(name, "was given more than once")
        try:
            values[name] = given[0].decode()
        except UnicodeDecodeError as error:
            raise _invalid_query(name, "is not UTF-8") from error
        if "\0" in values[name]:
            raise _invalid_query(name, "contains a NUL character")
    if query_type is None:
        for name in values:
            raise _invalid_query(name, "is not known here")
        return None
    try:
        return convert(values, query_type, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidError("invalid_query", faults=[_fault(error)]) from error


def check_depth(body: bytes) -> None:
    """Refuse a document nested deeper than :data:`MAX_DEPTH`, before anything recursive looks at it."""
    if body.count(b"[") + body.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for token in _TOKENS.finditer(body):
        first = body[token.start()]
        if first in b"[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise InvalidError("body_too_deep", f"The body is nested more than {MAX_DEPTH} levels deep")
        elif first in b"]}":
            depth -= 1


def check_members(body: bytes) -> None:
    """Refuse duplicate members and NUL characters in a document that was decoded already."""
    text = body.decode()
    try:
        _DUPLICATES.decode(text)
    except _DuplicateMemberError as error:
        fault = Fault(path=f"$..{error}", code="duplicate_member", message=f"{error} appears twice in one object")
        raise InvalidError("invalid_request", faults=[fault]) from error
    if "\\u0000" in text:
        _refuse_nul(json.loads(text), "$")


def parse_if_match(header: str | None) -> int | None:
    """Return the version an If-Match header names, or None without the header.

    Raises:
        InvalidError: With code ``precondition_failed``, when it is not one strong tag of ours: no state can match it.
    """
    if header is None:
        return None
    match = _VERSION.fullmatch(header.strip())
    if match is None:
        raise InvalidError("precondition_failed", 'If-Match must be one version tag, such as "3"')
    return int(match[1])


def parse_idempotency_key(header: str | None) -> str:
    """Return the Idempotency-Key of a request that needs one."""
    if header is None or _IDEMPOTENCY_KEY.fullmatch(header) is None:
        raise InvalidError(
            "idempotency_key_required",
            "The Idempotency-Key header is missing, or not 1 to 255 visible ASCII characters",
            remedy="Send a new random value with each new request, and the same value when you repeat one",
        )
    return header


def is_request_id(header: str) -> bool:
    """Whether a caller's X-Request-Id may go into answers, audit and logs as it is."""
    return _REQUEST_ID.fullmatch(header) is not None


def _parse_nothing(body: bytes) -> None:
    if body.strip() not in {b"", b"{}"}:
        raise InvalidError("invalid_request", "The body must be empty or {}")


def _fault(error: msgspec.ValidationError) -> Fault:
    match = _PLACE.match(str(error))
    if match is None:
        return Fault(path="$", code="invalid", message=str(error))
    return Fault(path=match["path"], code="invalid", message=match["message"])


def _invalid_query(name: str, what: str) -> InvalidError:
    return InvalidError("invalid_query", faults=[Fault(path=f"$.{name[:64]}", code="invalid", message=what)])


class _DuplicateMemberError(ValueError):
    """A member name appears twice in one object."""


def _refuse_duplicates(pairs: list[tuple[str, Any]]) -> None:
    if len(pairs) != len({name for name, _ in pairs}):
        names = [name for name, _ in pairs]
        raise _DuplicateMemberError(next(name for name in names if names.count(name) > 1)[:64])


# Numbers stay text: only the members' names matter here, and integers may be of any length.
_DUPLICATES = json.JSONDecoder(object_pairs_hook=_refuse_duplicates, parse_int=str, parse_float=str)


def _refuse_nul(value: Any, path: str) -> None:
    if isinstance(value, dict):
        for name, item in value.items():
            _refuse_nul(name, f"{path}.{name!r}")
            _refuse_nul(item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _refuse_nul(item, f"{path}[{index}]")
    elif isinstance(value, str) and "\0" in value:
        fault = Fault(path=path, code="nul_character", message="must not contain a NUL character")
        raise InvalidError("invalid_request", faults=[fault])
