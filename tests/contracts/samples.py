# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Samples of messages with every field filled, made from their types alone.

``python -m tests.contracts.samples`` writes golden files that do not exist yet. It never changes one: a golden file is
a promise to readers that were built before, and breaking it is a decision for a person.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from tests.contracts.messages import messages, vocabularies

GOLDEN = Path(__file__).parent / "golden"
DIGEST = "sha256:" + "0123456789abcdef" * 4
IDENTIFIER = "01980000-0000-7000-8000-00000000000a"
BY_NAME = {
    "commit": "0123456789abcdef0123456789abcdef01234567",
    "content_digest": DIGEST,
    "created_by": "user:ann",
    "hash": "0123456789abcdef" * 4,
    "name": "wine",
    "notebook_digest": DIGEST,
    "path": "notebooks/train.ipynb",
    "previous_hash": "0" * 64,
    "project": "alpha",
    "python": "3.11",
    "repository": "https://git.example.org/alpha.git",
}
INSTANT = "2026-01-02T03:04:05.678901Z"


def sample(kind: inspect.Type, name: str = "") -> Any:
    """Return a JSON value of a type; ``name`` is the field it fills."""
    match kind:
        case inspect.Metadata():
            return sample(kind.type, name)
        case inspect.StructType():
            tag = {kind.tag_field: kind.tag} if kind.tag_field else {}
            return tag | {field.encode_name: sample(field.type, field.name) for field in kind.fields}
        case inspect.UnionType():
            return sample(next(option for option in kind.types if not isinstance(option, inspect.NoneType)), name)
        case inspect.ListType(item_type=inspect.UnionType() as union):
            return [sample(option) for option in union.types]
        case inspect.ListType():
            return [sample(kind.item_type, name)]
        case inspect.DictType():
            key = sample(kind.key_type) if isinstance(kind.key_type, inspect.EnumType) else "key"
            return {key: sample(kind.value_type, name)}
        case inspect.EnumType():
            return next(iter(kind.cls)).value
        case _:
            return _scalar(kind, name)


def _scalar(kind: inspect.Type, name: str) -> Any:
    if isinstance(kind, inspect.StrType):
        if name.endswith(("_hash", "digest")) and name not in BY_NAME:
            return DIGEST
        return BY_NAME.get(name, IDENTIFIER if name.endswith("_id") else f"some {name or 'text'}")
    values: dict[type, Any] = {
        inspect.IntType: 3,
        inspect.FloatType: 0.5,
        inspect.BoolType: True,
        inspect.DateTimeType: INSTANT,
        inspect.AnyType: "any value",
        inspect.RawType: {"any": "canonical JSON"},
    }
    return values[type(kind)]


def encoded(value: Any) -> bytes:
    """Return JSON as golden files hold it."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"


def main() -> None:
    """Write the golden files that are missing."""
    GOLDEN.mkdir(exist_ok=True)
    contents = {name: sample(inspect.type_info(kind)) for name, kind in messages().items()}
    for name, value in (contents | {"vocabularies": vocabularies()}).items():
        path = GOLDEN / f"{name}.json"
        if not path.exists():
            path.write_bytes(encoded(value))


if __name__ == "__main__":
    main()
