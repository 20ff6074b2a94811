# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where attempts are executed. A backend starts a supervisor and tells what became of it; it decides nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.identifiers import ExecutionId
from animus_contracts.runs import Limitation


class BackendError(Exception):
    """The backend cannot start an attempt; the message says why."""


class Attempt(Protocol):
    """A supervisor at work, or what it left."""

    @property
    def is_running(self) -> bool:
        """Whether a supervisor was at work when the attempt was launched or adopted."""

    def wait(self) -> AttemptResult | None:
        """Wait for the end.

        Returns:
            What the supervisor left as its result; None when it was killed before it could.
        """

    def cancel(self) -> None:
        """Ask it to stop and to tell what it has. May be called from another thread, and more than once."""

    def renewed(self, seconds: float) -> None:
        """Tell it that its run token lasts so long from now on. May be called from another thread."""

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

    def adopt(self, folder: Path, execution_id: ExecutionId, epoch: int) -> Attempt:
        """Find an attempt that a predecessor launched in a run folder, whether or not it has ended."""

    def close(self) -> None:
        """Let go of everything; attempts go on."""
