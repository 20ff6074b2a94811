# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Leases and tokens are counted on the database's time, which all control planes share, and which here never steps.

Between two looks at it time goes on by our own monotonic clock. A clock that was set is followed slowly: a lease or a
token lives at most :data:`RATE` longer or shorter than it should. A restart takes the new time over at once.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta

RATE = 0.1
"""How much faster or slower than real time the clock runs while it follows one that was set."""


class SteadyClock:
    """The present, as the database sees it.

    Args:
        reference: The database's present.
        monotonic: Seconds on a clock that never steps.
    """

    def __init__(self, reference: Callable[[], datetime], monotonic: Callable[[], float] = time.monotonic) -> None:
        self._reference = reference
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._base, self._since = reference(), monotonic()
        self._rate = 0.0

    def __call__(self) -> datetime:
        """Return the present; it never goes back."""
        with self._lock:
            return self._at(self._monotonic())

    def follow(self, within: float) -> None:
        """Look at the reference and run so that it is met in ``within`` seconds, as far as :data:`RATE` lets us."""
        aim = self._reference()
        with self._lock:
            now = self._monotonic()
            self._base, self._since = self._at(now), now
            self._rate = max(-RATE, min(RATE, (aim - self._base).total_seconds() / within))

    def _at(self, now: float) -> datetime:
        return self._base + timedelta(seconds=(now - self._since) * (1 + self._rate))
