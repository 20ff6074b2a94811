# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A backend whose attempts end when, and as, a test says."""

from __future__ import annotations

import threading

from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.executions import Verdict
from animus_contracts.runs import Limitation
from animus_executor.backends import BackendError

SUCCEEDED = AttemptResult(verdict=Verdict.SUCCEEDED)
KILLED = -9


class FakeAttempt:
    """An attempt that waits to be told how it ends.

    Attributes:
        assignment: What it was started with.
        canceled: Set when it was asked to stop.
        killed: Set when it was killed.
        on_cancel: How it ends when it is asked to stop; None ignores the wish.
    """

    def __init__(self, assignment: Assignment, on_cancel: AttemptResult | int | None) -> None:
        self.assignment = assignment
        self.canceled = threading.Event()
        self.killed = threading.Event()
        self.on_cancel = on_cancel
        self._over = threading.Event()
        self._outcome: AttemptResult | int = KILLED

    def end(self, outcome: AttemptResult | int) -> None:
        """End as told, unless it has ended."""
        if not self._over.is_set():
            self._outcome = outcome
            self._over.set()

    def wait(self) -> AttemptResult | int:
        """Wait for the end."""
        assert self._over.wait(30.0)
        return self._outcome

    def cancel(self) -> None:
        """Ask it to stop."""
        self.canceled.set()
        if self.on_cancel is not None:
            self.end(self.on_cancel)

    def kill(self) -> None:
        """End it."""
        self.killed.set()
        self.end(KILLED)


class FakeBackend:
    """Starts fake attempts.

    Attributes:
        outcome: How attempts end at once; None leaves them running.
        on_cancel: How they end when asked to stop.
        error: Why nothing can be started, when not empty.
    """

    def __init__(self) -> None:
        self.limitations: list[Limitation] = [Limitation.MEMORY_NOT_LIMITED]
        self.outcome: AttemptResult | int | None = SUCCEEDED
        self.on_cancel: AttemptResult | int | None = None
        self.error = ""
        self.attempts: list[FakeAttempt] = []
        self._changed = threading.Condition()

    def launch(self, assignment: Assignment) -> FakeAttempt:
        """Start an attempt."""
        if self.error:
            raise BackendError(self.error)
        attempt = FakeAttempt(assignment, self.on_cancel)
        if self.outcome is not None:
            attempt.end(self.outcome)
        with self._changed:
            self.attempts.append(attempt)
            self._changed.notify_all()
        return attempt

    def launched(self) -> FakeAttempt:
        """Wait for the first attempt."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.attempts, 10.0)
            return self.attempts[0]

    def close(self) -> None:
        """End every attempt."""
        for attempt in self.attempts:
            attempt.kill()
