# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run token that has run out is not presented: whoever knows that a credential is dead does not try it.

Its executor's heartbeats renew it, and the executor says so after each one that was answered. The clock is our own,
which no step of the day's time moves; where it is wrong nevertheless (a machine slept), the first refusal counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

USED = 0.9
"""Which part of its life a token is used for: what is sent at the end of it would be refused when it arrives."""


class TokenLife:
    """How long a run token may still be presented; told from one thread, asked from others.

    Args:
        seconds: How long it lasts.
        clock: Monotonic seconds.
    """

    def __init__(self, seconds: float = math.inf, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.renewed(seconds)

    def renewed(self, seconds: float) -> None:
        """It lasts so long from now on."""
        self._until = self._clock() + USED * seconds

    def refused(self) -> None:
        """It was refused as what it is; it is of no use until it is renewed."""
        self._until = -math.inf

    @property
    def is_over(self) -> bool:
        """Whether it must not be presented now."""
        return self._clock() >= self._until
