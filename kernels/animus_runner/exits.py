# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Why an attempt ends before its notebook does: always a typed failure with a remedy, or a lost lease.

::

    AttemptError
    ├── CanceledError      the run was asked to stop before its notebook began
    ├── FailedError        the run failed, for the reason it carries
    ├── LostError          another attempt owns the run: stop, report nothing
    └── UnreachableError   the control plane does not answer now: repeat
"""

from __future__ import annotations

from animus_contracts.runs import Failure, FailureReason


class AttemptError(Exception):
    """What ends an attempt, or one step of it."""


class CanceledError(AttemptError):
    """The run was asked to stop before its notebook began."""


class FailedError(AttemptError):
    """The run failed.

    Attributes:
        failure: Why, for a person.
    """

    def __init__(self, reason: FailureReason, summary: str, *, detail: str = "", remedy: str = "") -> None:
        super().__init__(summary)
        self.failure = Failure(reason=reason, summary=summary, detail=detail, remedy=remedy)


class LostError(AttemptError):
    """The control plane says that this attempt no longer holds the run."""


class UnreachableError(AttemptError):
    """The control plane cannot be reached, or cannot answer now."""
