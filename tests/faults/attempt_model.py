# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One attempt as a page of rules, written without looking at the services: what each callback must be answered.

The services store, fence, audit and chain; the model only knows what an executor may be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from animus_contracts.executions import Verdict
from animus_contracts.runs import RunState

STALE, CONFLICT, ILLEGAL, FORBIDDEN = "stale_epoch", "event_conflict", "invalid_transition", "forbidden"
ENDS = {
    Verdict.SUCCEEDED: RunState.SUCCEEDED,
    Verdict.FAILED: RunState.FAILED,
    Verdict.CANCELED: RunState.CANCELED,
}


@dataclass(slots=True)
class AttemptModel:
    """An attempt from its lease on; every method says what the control plane must answer.

    Attributes:
        lease: How long a lease lasts, and the grace after it.
        token: How long a token lives after its last renewal.
        wall: How long the run may take.
        overtime: How long it is waited for after that.
        state: Where the run is.
        expires_at: When the lease, or the grace, is over.
        dispatch_until: Until when the attempt may be started; None when it may not be any more.
        last: The last event that was stored.
        started: When the attempt started.
        stop_by: When a run that took too long is ended.
        over: ``ended`` or ``lost``, when it is.
        verdict: How it ended.
        event_id: By which event it ended.
    """

    lease: timedelta
    token: timedelta
    wall: timedelta
    overtime: timedelta
    expires_at: datetime
    dispatch_until: datetime | None
    state: RunState = RunState.DISPATCHING
    last: int = 0
    started: datetime | None = None
    stop_by: datetime | None = None
    over: str = ""
    verdict: Verdict | None = None
    event_id: str = ""

    def start(self, now: datetime) -> object:
        """Start: possible until the first report, as often as one likes."""
        if self.over:
            return STALE
        if self.dispatch_until is None or self.dispatch_until <= now:
            return FORBIDDEN
        if not self.started:
            self.started, self.state = now, RunState.RUNNING
            self.expires_at = now + self.lease
        return "started"

    def heartbeat(self, now: datetime) -> object:
        """Renew everything, and find a lost run again."""
        if self.over:
            return STALE
        self.expires_at = now + self.lease
        if self.dispatch_until is not None:
            self.dispatch_until = now + self.token
        if self.state is RunState.UNKNOWN:
            self.state = RunState.RUNNING
        return "renewed"

    def report(self, first: int, count: int) -> object:
        """Store what is new of the events ``first`` … and refuse a gap."""
        if self.over or not self.started:
            return STALE
        fresh = first + count - 1
        if fresh <= self.last:
            return self.last
        if first > self.last + 1:
            return CONFLICT
        self.last, self.dispatch_until = fresh, None
        return self.last

    def end(self, event_id: str, verdict: Verdict) -> object:
        """End once; the same word again is harmless, another one is refused."""
        if self.over == "ended":
            if event_id != self.event_id:
                return STALE
            return (self.state, True) if verdict is self.verdict else CONFLICT
        if self.over:
            return STALE
        if not self.started and verdict is Verdict.SUCCEEDED:
            return ILLEGAL
        self.over, self.verdict, self.event_id, self.state = "ended", verdict, event_id, ENDS[verdict]
        return (self.state, False)

    def reconcile(self, now: datetime) -> None:
        """Give up what is overdue: at once what never started, after a grace what did; and what takes too long."""
        if not self.over and self.expires_at < now:
            self._lose(now)
        if self.over or self.started is None or self.started + self.wall > now:
            return
        if self.stop_by is None:
            self.stop_by = now + self.overtime
        elif self.stop_by <= now:
            self.over, self.state = "lost", RunState.FAILED

    def _lose(self, now: datetime) -> None:
        if self.state is RunState.RUNNING:
            self.state, self.expires_at = RunState.UNKNOWN, now + self.lease
        elif self.state is RunState.DISPATCHING:
            self.over, self.state = "lost", RunState.QUEUED
        else:
            self.over, self.state = "lost", RunState.FAILED
