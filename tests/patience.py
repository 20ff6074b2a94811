# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Waiting for what another thread or process does: not longer than it takes, and never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(fact: Callable[[], T], *, seconds: float = 60.0, pause: float = 0.01, told: Callable[[], object] = str) -> T:
    """Wait until something is true, and return it.

    Args:
        fact: What is to become true; it is asked again and again.
        seconds: How long it may take; only a fault takes that long.
        pause: How long to rest before it is asked again.
        told: What to say of it when it did not become true.

    Raises:
        AssertionError: If it did not become true in time.
    """
    deadline = time.monotonic() + seconds
    while not (found := fact()):
        assert time.monotonic() < deadline, f"not within {seconds:g} s: {told()}"
        time.sleep(pause)
    return found
