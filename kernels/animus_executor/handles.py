# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How one attempt is stopped, by whoever wants it to: the wish is kept until there is something to stop.

So is the news that its run token was renewed, until there is somebody to hear it.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from animus_executor.backends import Attempt

FORCE_SECONDS = 4.0
"""How long an attempt that is asked to stop may take to do it: a cell that ignores the wish, and what it has written,
have to be gone within five seconds from the moment somebody asked."""


@dataclass(slots=True)
class Handle:
    """The supervisor of an attempt, for whoever wants to stop it or has news for it.

    Attributes:
        stopping: Set when the attempt is to end, whatever it is doing.
        canceled: Whether it was asked to end gently.
        killed: Whether it is to end at once.
    """

    stopping: threading.Event = field(default_factory=threading.Event)
    canceled: bool = False
    killed: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _attempt: Attempt | None = None
    _token_until: float | None = None

    def attach(self, attempt: Attempt) -> None:
        """The supervisor runs; carry out what was wished for in the meantime."""
        with self._lock:
            self._attempt = attempt
            if self._token_until is not None:
                attempt.renewed(self._token_until - time.monotonic())
        if self.killed:
            attempt.kill()
        elif self.canceled:
            self._cancel(attempt)

    def renewed(self, until: float) -> None:
        """Its run token lasts until then, a time of :func:`time.monotonic`."""
        with self._lock:
            self._token_until = until
            if self._attempt is not None:
                self._attempt.renewed(until - time.monotonic())

    def cancel(self) -> None:
        """Stop it gently, and by force after :data:`FORCE_SECONDS`; asking again changes nothing."""
        with self._lock:
            is_first, self.canceled = not self.canceled, True
            attempt = self._attempt
        self.stopping.set()
        if attempt is not None and is_first:
            self._cancel(attempt)

    def kill(self) -> None:
        """Stop it now."""
        with self._lock:
            self.killed = True
            attempt = self._attempt
        self.stopping.set()
        if attempt is not None:
            attempt.kill()

    def _cancel(self, attempt: Attempt) -> None:
        attempt.cancel()
        timer = threading.Timer(FORCE_SECONDS, attempt.kill)
        timer.daemon = True
        timer.start()
