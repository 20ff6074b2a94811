# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A lease is counted on our own monotonic clock, from before it was asked for; nobody's clock can make it longer.

Heartbeats renew it. When it is lost — the control plane says so, or no heartbeat was answered in time — the attempt
is fenced before anybody else can have been given the run.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Protocol, Self

from animus_contracts.executions import Heartbeat, HeartbeatReply, Lease
from animus_executor.control_plane import RefusedError, StaleError, UnreachableError

CONFIRMED_BEATS = 2
"""A lease with less time left than so many heartbeats is renewed before anything else."""

log = logging.getLogger(__name__)


class Beats(Protocol):
    """Who answers heartbeats."""

    def heartbeat(self, execution_id: str, message: Heartbeat, *, patience: float) -> HeartbeatReply:
        """Renew a lease."""


class Keeper:
    """Keeps one lease alive from :meth:`__enter__` to :meth:`__exit__`, in a thread of its own.

    Args:
        lease: The lease.
        asked_at: Monotonic time before it was asked for.
        control_plane: Who answers heartbeats.
        on_cancel: Called once when the run is to be stopped.
        on_lost: Called once when the lease is lost.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        asked_at: float,
        control_plane: Beats,
        on_cancel: Callable[[], None],
        on_lost: Callable[[], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._lease = lease
        self._expires_at = asked_at + lease.lease_seconds
        self._control_plane = control_plane
        self._on_cancel = on_cancel
        self._on_lost = on_lost
        self._clock = clock
        self._done = threading.Event()
        self._canceled = False
        self._lost = False
        self._thread = threading.Thread(target=self._run, name="heartbeats", daemon=True)

    @property
    def is_lost(self) -> bool:
        """Whether the lease is lost; it never comes back."""
        return self._lost or self._clock() >= self._expires_at

    def __enter__(self) -> Self:
        if self._expires_at - self._clock() < CONFIRMED_BEATS * self._lease.heartbeat_seconds:
            self._beat(self._lease.heartbeat_seconds)  # most of it went by while we waited for it
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()

    def _run(self) -> None:
        pause = self._lease.heartbeat_seconds
        while not self._done.wait(min(pause, max(0.0, self._expires_at - self._clock()))):
            answered = not self.is_lost and self._beat(self._expires_at - self._clock())
            if self.is_lost:
                self._lose()
                return
            # An unanswered heartbeat is repeated soon: the lease may outlive a restart of the control plane.
            pause = self._lease.heartbeat_seconds if answered else min(1.0, self._lease.heartbeat_seconds)

    def _beat(self, seconds: float) -> bool:
        """Renew the lease, waiting for the answer for at most ``seconds``; say whether there was one."""
        asked_at = self._clock()
        patience = max(0.1, min(self._lease.heartbeat_seconds, seconds))
        message = Heartbeat(epoch=self._lease.epoch)
        try:
            reply = self._control_plane.heartbeat(self._lease.execution_id, message, patience=patience)
        except UnreachableError as error:
            log.warning("heartbeat of %s was not answered: %s", self._lease.execution_id, error)
            return False
        except (StaleError, RefusedError) as error:
            log.warning("lease of %s is lost: %s", self._lease.execution_id, error)
            self._lost = True
            return False
        self._expires_at = asked_at + reply.lease_seconds
        if reply.cancel and not self._canceled:
            self._canceled = True
            self._on_cancel()
        return True

    def _lose(self) -> None:
        self._lost = True
        if not self._done.is_set():
            self._on_lost()
