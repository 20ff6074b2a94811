# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A digest that was published is what the same input still gives, here and by hand."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest

from tests.contracts.hash_vectors import FUNCTIONS, PUBLISHED

VECTORS: dict[str, list[dict[str, Any]]] = json.loads(PUBLISHED.read_text(encoding="utf-8"))


def test_every_kind_of_digest_is_published() -> None:
    assert set(VECTORS) == set(FUNCTIONS)


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        pytest.param(name, vector, id=f"{name}-{number}")
        for name, vectors in VECTORS.items()
        for number, vector in enumerate(vectors)
    ],
)
def test_published_input_still_gives_the_published_output(name: str, vector: dict[str, Any]) -> None:
    assert FUNCTIONS[name](vector["input"]) == vector["output"]


def test_vectors_can_be_reproduced_without_our_code() -> None:
    for vector in VECTORS["digest"]:
        text = json.dumps(vector["input"], separators=(",", ":"), sort_keys=True)
        assert vector["output"] == "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    for vector in VECTORS["audit_chain_hash"]:
        record = json.dumps(vector["input"]["record"], separators=(",", ":"), sort_keys=True).encode()
        previous = bytes.fromhex(vector["input"]["previous_hash"])
        assert vector["output"] == hashlib.sha256(b"\0" + previous + record).hexdigest()
