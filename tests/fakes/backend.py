# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A backend whose attempts end when, and as, a test says."""

from __future__ import annotations

import threading
from pathlib import Path

from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.executions import Verdict
from animus_contracts.identifiers import ExecutionId
from animus_contracts.runs import Limitation
from animus_executor.backends import BackendError

SUCCEEDED = AttemptResult(verdict=Verdict.SUCCEEDED)
KILLED = None
"""What is left of an attempt that was killed."""


class FakeAttempt:
    """An attempt that waits to be told how it ends.

    Attributes:
        is_running: Always.
        canceled: Set when it was asked to stop.
        killed: Set when it was killed.
        token_seconds: How long its token lasts, each time it was told.
        on_cancel: How it ends when it is asked to stop; None ignores the wish.
    """

    def __init__(self, assignment: Assignment | None, on_cancel: AttemptResult | None) -> None:
        self._assignment = assignment
        self.is_running = True
        self.canceled = threading.Event()
        self.killed = threading.Event()
        self.token_seconds: list[float] = []
        self.on_cancel = on_cancel
        self._over = threading.Event()
        self._outcome: AttemptResult | None = KILLED

    @property
    def assignment(self) -> Assignment:
        """What it was started with."""
        assert self._assignment is not None, "it was adopted"
        return self._assignment

    def end(self, outcome: AttemptResult | None) -> None:
        """End as told, unless it has ended."""
        if not self._over.is_set():
            self._outcome = outcome
            self._over.set()

    def wait(self) -> AttemptResult | None:
        """Wait for the end."""
        assert self._over.wait(30.0)
        return self._outcome

    def cancel(self) -> None:
        """Ask it to stop."""
        self.canceled.set()
        if self.on_cancel is not None:
            self.end(self.on_cancel)

    def renewed(self, seconds: float) -> None:
        """Hear how long the token lasts."""
        self.token_seconds.append(seconds)

    def kill(self) -> None:
        """End it."""
        self.killed.set()
        self.end(KILLED)


class FakeBackend:
    """Starts fake attempts.

    Attributes:
        outcome: How attempts end at once, unless ``is_ending`` is false: then they go on.
        is_ending: Whether attempts end at once.
        left: What is delivered of an attempt that was killed.
        on_cancel: How they end when asked to stop.
        error: Why nothing can be started, when not empty.
    """

    def __init__(self) -> None:
        self.limitations: list[Limitation] = [Limitation.MEMORY_NOT_LIMITED]
        self.outcome: AttemptResult | None = SUCCEEDED
        self.is_ending = True
        self.left: AttemptResult | None = KILLED
        self.on_cancel: AttemptResult | None = None
        self.error = ""
        self.attempts: list[FakeAttempt] = []
        self._changed = threading.Condition()

    def launch(self, assignment: Assignment) -> FakeAttempt:
        """Start an attempt."""
        if self.error:
            raise BackendError(self.error)
        attempt = FakeAttempt(assignment, self.on_cancel)
        if assignment.is_remainder:
            attempt.end(self.left)
        self._add(attempt)
        return attempt

    def adopt(self, folder: Path, execution_id: ExecutionId, epoch: int) -> FakeAttempt:
        """Find an attempt of a predecessor."""
        assert folder.name == execution_id[-12:]
        assert epoch
        attempt = FakeAttempt(None, self.on_cancel)
        self._add(attempt)
        return attempt

    def _add(self, attempt: FakeAttempt) -> None:
        if self.is_ending:
            attempt.end(self.outcome)
        with self._changed:
            self.attempts.append(attempt)
            self._changed.notify_all()

    def launched(self) -> FakeAttempt:
        """Wait for the first attempt."""
        with self._changed:
            assert self._changed.wait_for(lambda: self.attempts, 10.0)
            return self.attempts[0]

    def close(self) -> None:
        """End every attempt."""
        for attempt in self.attempts:
            attempt.kill()
