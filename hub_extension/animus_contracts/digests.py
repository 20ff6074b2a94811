# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Canonical JSON and digests: the only way anything in Animus is hashed.

Canonical form is RFC 8785 (JCS). JCS numbers are IEEE 754 doubles, so a value that comes from a user (a
parameter) is *typed* first: a number becomes ``{"type": "integer", "value": "4"}`` and carries its exact text.
``1`` and ``1.0`` therefore differ, and integers of any size are exact.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import make_dataclass
from typing import Annotated, Any, NewType

import msgspec
import rfc8785

from animus_contracts.decoding import convert

Digest = NewType("Digest", str)
"""``sha256:`` followed by 64 lower-case hexadecimal characters."""

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
INPUTS_HASH_VERSION = "animus.inputs.v1"
SPEC_HASH_VERSION = "animus.spec.v1"
PLAN_HASH_VERSION = "animus.plan.v1"


DEPTH = 8
_SORTED = msgspec.json.Encoder(order="sorted")


class NotCanonicalError(ValueError):
    """A value has no canonical form (NaN, an infinity, a non-string key, an unknown type)."""


def canonical(value: Any) -> bytes:
    """Serialise a message or plain JSON value to RFC 8785 bytes.

    Args:
        value: A msgspec struct or JSON-like value. Integers must fit in 53 bits; use :func:`typed` first for
            values that a user chose.

    Returns:
        The canonical UTF-8 bytes.

    Raises:
        NotCanonicalError: If the value has no canonical form.
    """
    try:
        plain = msgspec.to_builtins(value)
        if _is_simple(plain):
            encoded = _SORTED.encode(plain)
            if encoded.isascii():  # the two sort other names differently
                return encoded
        return rfc8785.dumps(plain)
    except (rfc8785.CanonicalizationError, TypeError, ValueError) as error:
        message = f"value has no canonical JSON form: {error}"
        raise NotCanonicalError(message) from error


def typed(value: Any) -> Any:
    """Replace every scalar by an object that names its type and carries its exact text.

    Args:
        value: A JSON value as Python decoded it.

    Returns:
        A structure of objects, arrays and strings only, safe for :func:`canonical` at any size.

    Raises:
        NotCanonicalError: For NaN, infinities, non-string keys and types outside JSON.
    """
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            message = "object keys must be strings"
            raise NotCanonicalError(message)
        return {"type": "object", "value": {key: typed(item) for key, item in value.items()}}
    if isinstance(value, list | tuple):
        return {"type": "array", "value": [typed(item) for item in value]}
    if isinstance(value, bool):
        return {"type": "boolean", "value": "true" if value else "false"}
    if isinstance(value, int):
        return {"type": "integer", "value": str(value)}
    if isinstance(value, float):
        if not math.isfinite(value):
            message = f"{value!r} is not a JSON number"
            raise NotCanonicalError(message)
        return {"type": "number", "value": repr(value)}
    if isinstance(value, str):
        return {"type": "string", "value": value}
    if value is None:
        return {"type": "null", "value": ""}
    message = f"{type(value).__name__} is not a JSON type"
    raise NotCanonicalError(message)


def digest_bytes(content: bytes) -> Digest:
    """Return the SHA-256 digest of bytes, with its algorithm prefix."""
    return Digest("sha256:" + hashlib.sha256(content).hexdigest())


def digest_of(value: Any, *, version: str | None = None) -> Digest:
    """Return the digest of a value's canonical form.

    Args:
        value: A message or JSON value, see :func:`canonical`.
        version: Name of the hashed structure; when given it is hashed along, so that two structures that
            happen to serialise alike never share a digest.
    """
    return digest_bytes(canonical(value if version is None else {"version": version, "value": value}))


def _simple_within(depth: int) -> Any:
    """Return the type of what msgspec's sorted JSON writes as RFC 8785 has it: no fractions, no large integers."""
    leaf: Any = str | bool | Annotated[int, msgspec.Meta(gt=-(2**53), lt=2**53)] | None
    found = leaf
    for _ in range(depth):
        found = leaf | list[found] | dict[str, found]  # type: ignore[valid-type]  # built, not written
    return found


_Simple = make_dataclass("_Simple", [("value", _simple_within(DEPTH))])


def _is_simple(plain: Any) -> bool:
    """Say whether msgspec, which is twenty times as fast, may write a value; a test compares the two byte for byte.

    What is nested deeper is simple too, and is not found to be.
    """
    try:
        convert({"value": plain}, _Simple)
    except msgspec.ValidationError:
        return False
    return True
