# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Bytes and plain values become messages here, in whichever thread; only here is msgspec told a type to decode.

msgspec works a type out when it first meets it, and other threads see the half of it meanwhile: two that meet one type
at one time end the whole process with a segmentation fault. So every type is worked out under one lock, once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar, cast, overload

import msgspec

T = TypeVar("T")

_working_out = threading.Lock()


@cache
def _worked_out(kind: Any, decoder: Callable[[Any], Any]) -> Any:
    with _working_out:
        return decoder(kind)


@overload
def json_decoder(kind: type[T]) -> msgspec.json.Decoder[T]: ...
@overload
def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]: ...
def json_decoder(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return what decodes JSON as a type: the same decoder for the same type, which any thread may use.

    Args:
        kind: The type.
    """
    return cast("msgspec.json.Decoder[Any]", _worked_out(kind, msgspec.json.Decoder))


def msgpack_decoder(kind: Any) -> msgspec.msgpack.Decoder[Any]:
    """Return what decodes MessagePack as a type: the same decoder for the same type, which any thread may use.

    Args:
        kind: The type.
    """
    return cast("msgspec.msgpack.Decoder[Any]", _worked_out(kind, msgspec.msgpack.Decoder))


@overload
def decode_json(text: bytes | str, kind: type[T]) -> T: ...
@overload
def decode_json(text: bytes | str, kind: Any) -> Any: ...
def decode_json(text: bytes | str, kind: Any) -> Any:
    """Decode JSON as a type.

    Args:
        text: The JSON, in UTF-8 if it is bytes.
        kind: The type.

    Raises:
        msgspec.ValidationError: If it is JSON of another type.
        msgspec.DecodeError: If it is no JSON.
    """
    return json_decoder(kind).decode(text)


@overload
def convert(value: Any, kind: type[T], *, strict: bool = True) -> T: ...
@overload
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any: ...
def convert(value: Any, kind: Any, *, strict: bool = True) -> Any:
    """Convert a plain value to a type.

    Args:
        value: What JSON or YAML was read as.
        kind: The type.
        strict: Whether text stays text; else it may be read as a number, a boolean or nothing.

    Raises:
        msgspec.ValidationError: If it is of another type.
    """
    json_decoder(kind)  # has the type worked out
    return msgspec.convert(value, kind, strict=strict)
