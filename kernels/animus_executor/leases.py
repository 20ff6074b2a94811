# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A lease is counted on our own monotonic clock, from before it was asked for; nobody's clock can make it longer.

Heartbeats renew it. The control plane's word that it is lost counts at once, always. Silence counts when the lease
ends as long as the attempt has not started, because then somebody else may be given the run; a started attempt is
never given to anybody else, so it goes on through an outage, and its epoch decides whether its end still counts.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self

from animus_contracts.executions import Heartbeat, HeartbeatReply
from animus_contracts.identifiers import ExecutionId, RunId
from animus_executor.control_plane import RefusedError, StaleError, UnreachableError

CONFIRMED_BEATS = 2
"""A lease with less time left than so many heartbeats is renewed before anything else."""

FIRST_PAUSE = 1.0
"""How soon an unanswered heartbeat is repeated, in seconds."""

log = logging.getLogger(__name__)


class Beats(Protocol):
    """Who answers heartbeats."""

    def heartbeat(self, execution_id: str, message: Heartbeat, *, patience: float) -> HeartbeatReply:
        """Renew a lease."""


class Held(Protocol):
    """A lease, as far as it has to be kept."""

    @property
    def execution_id(self) -> ExecutionId:
        """The attempt."""

    @property
    def run_id(self) -> RunId:
        """The run."""

    @property
    def epoch(self) -> int:
        """Its epoch."""

    @property
    def lease_seconds(self) -> float:
        """How long the lease lasts."""

    @property
    def heartbeat_seconds(self) -> float:
        """How often it is to be renewed."""


class Kept(Protocol):
    """What hears of its heartbeats and is stopped: an attempt, perhaps before it has begun."""

    def renewed(self, until: float) -> None:
        """Its run token lasts until then, in monotonic seconds."""

    def cancel(self) -> None:
        """Stop it gently."""

    def kill(self) -> None:
        """Stop it now."""


class Keeper:
    """Keeps one lease alive from :meth:`__enter__` to :meth:`__exit__`, in a thread of its own.

    Args:
        lease: The lease.
        asked_at: Monotonic time before it was asked for; None for the lease of a started attempt that is adopted: then
            the first heartbeat is sent at once.
        control_plane: Who answers heartbeats.
        attempt: Hears when its run token was renewed; canceled once when the run is to be stopped, killed once when the
            lease is lost.
        offline_seconds: How long a started attempt goes on without an answer.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lease: Held,
        *,
        asked_at: float | None,
        control_plane: Beats,
        attempt: Kept,
        offline_seconds: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._is_adopted = self._is_started = asked_at is None
        self._renewed_at = clock() if asked_at is None else asked_at
        self._lease_seconds = lease.lease_seconds
        self._offline_seconds = offline_seconds
        self._control_plane = control_plane
        self._attempt = attempt
        self._clock = clock
        self._done = threading.Event()
        self._canceled = self._is_unanswered = False
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether the lease is lost; it never comes back."""
        return self._lost or self._left() <= 0

    def attempt_started(self) -> None:
        """Nobody else can be given the run from now on: silence is no reason to stop any more."""
        self._is_started = True

    def _left(self) -> float:
        """Seconds until silence ends the lease."""
        term = max(self._lease_seconds, self._offline_seconds) if self._is_started else self._lease_seconds
        return self._renewed_at + term - self._clock()

    def __enter__(self) -> Self:
        if self._left() < CONFIRMED_BEATS * self._lease.heartbeat_seconds:
            self._beat(self._lease.heartbeat_seconds)  # most of it went by while we waited for it
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _run(self) -> None:
        regular = self._lease.heartbeat_seconds
        pause, again = 0.0 if self._is_adopted else regular, min(FIRST_PAUSE, regular)
        while not self._done.wait(min(pause, max(0.0, self._left()))):
            answered = not self.is_lost and self._beat(self._left())
            if self.is_lost:
                self._lose()
                return
            # An unanswered heartbeat is repeated soon, because the lease may outlive a restart of the control plane;
            # after that as often as any other: many attempts wait for the end of an outage.
            pause = regular if answered else again
            again = min(FIRST_PAUSE, regular) if answered else min(2 * again, regular)

    def _beat(self, seconds: float) -> bool:
        """Renew the lease, waiting for the answer for at most ``seconds``; say whether there was one."""
        asked_at = self._clock()
        patience = max(0.1, min(self._lease.heartbeat_seconds, seconds))
        message = Heartbeat(epoch=self._lease.epoch)
        try:
            reply = self._control_plane.heartbeat(self._lease.execution_id, message, patience=patience)
        except UnreachableError as error:
            if not self._is_unanswered:
                log.warning("heartbeat of %s was not answered: %s", self._lease.execution_id, error)
            self._is_unanswered = True
            return False
        except (StaleError, RefusedError) as error:
            log.warning("lease of %s is lost: %s", self._lease.execution_id, error)
            self._lost = True
            return False
        if self._is_unanswered:
            silence = asked_at - self._renewed_at
            log.info("heartbeat of %s is answered again, after %.0f s", self._lease.execution_id, silence)
        self._is_unanswered = False
        self._renewed_at, self._lease_seconds = asked_at, reply.lease_seconds
        if self._is_started:
            self._attempt.renewed(asked_at + reply.token_expires_in_seconds)
        if reply.cancel and not self._canceled:
            self._canceled = True
            self._attempt.cancel()
        return True

    def _lose(self) -> None:
        self._lost = True
        if not self._done.is_set():
            self._attempt.kill()
