# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Idempotency keys are accepted, never the same, and in order of time, which is what keeps their index cheap."""

from __future__ import annotations

import time

from animus.keys import new_key
from animus_control.api.parsing import parse_idempotency_key


def test_keys_are_accepted_and_never_the_same() -> None:
    keys = [new_key() for _ in range(1000)]
    assert [parse_idempotency_key(key) for key in keys] == keys
    assert len(set(keys)) == len(keys)


def test_keys_are_in_order_of_time() -> None:
    keys = []
    for _ in range(20):
        keys.append(new_key())
        time.sleep(0.002)  # their clock counts milliseconds
    assert keys == sorted(keys)
