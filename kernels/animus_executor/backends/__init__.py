# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where attempts are executed. A backend starts a supervisor and tells what became of it; it decides nothing."""

from __future__ import annotations

from typing import Protocol

from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.runs import Limitation


class BackendError(Exception):
    """The backend cannot start an attempt; the message says why."""


class Attempt(Protocol):
    """A supervisor at work."""

    def wait(self) -> AttemptResult | int:
        """Wait for the end.

        Returns:
            What the supervisor reported, or its exit status (minus the signal) when it reported nothing.
        """

    def cancel(self) -> None:
        """Ask it to stop and to tell what it has. May be called from another thread, and more than once."""

    def kill(self) -> None:
        """End it with everything it started. May be called from another thread, and more than once."""


class Backend(Protocol):
    """Executes attempts."""

    @property
    def limitations(self) -> list[Limitation]:
        """The isolation attempts do not have here."""

    def launch(self, assignment: Assignment) -> Attempt:
        """Start a supervisor.

        Raises:
            BackendError: If it cannot be started.
        """

    def close(self) -> None:
        """End every attempt and let go of everything."""
