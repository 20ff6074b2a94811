# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Errors a user meets: one line each, with a stable code and, where there is one, the way out.

``AnimusError`` — everything that is expected to go wrong
 ├─ ``UsageError``        the command cannot be carried out as it was given (exit code 2)
 ├─ ``RefusedError``      the control plane refused it (exit code 3)
 ├─ ``UnreachableError``  no answer, or one that says "not now" (exit code 4)
 ├─ ``RunFailedError``    the run that was waited for did not succeed (exit code 1)
 └─ ``OutsideRunError``   something that exists only inside a run was asked for outside one

This module imports the standard library only: it is also loaded inside runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from animus_contracts.problems import Fault


class AnimusError(Exception):
    """Something expected went wrong.

    Args:
        code: Stable code, for the control plane's refusals one of ``animus_contracts.problems.CODES``.
        detail: What was wrong and where.
        remedy: How to mend it.
        faults: Single faults of a request, when there are several.
        request_id: Id under which the control plane logged the request.
    """

    exit_code = 3

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        remedy: str = "",
        faults: Sequence[Fault] = (),
        request_id: str = "",
    ) -> None:
        super().__init__(code, detail)
        self.code = code
        self.detail = detail
        self.remedy = remedy
        self.faults = tuple(faults)
        self.request_id = request_id

    def __str__(self) -> str:
        """Say it in one line: ``code: detail — remedy``."""
        said = [self.detail, *(fault.message for fault in self.faults if fault.message not in self.detail)]
        line = f"{self.code}: {'; '.join(filter(None, said))}" + (f" — {self.remedy}" if self.remedy else "")
        return " ".join(line.split())


class UsageError(AnimusError):
    """The command cannot be carried out as it was given."""

    exit_code = 2


class RefusedError(AnimusError):
    """The control plane refused."""

    exit_code = 3


class UnreachableError(AnimusError):
    """There was no answer, or one that says "not now"; ``retry_after`` is how many seconds it asked us to wait."""

    exit_code = 4
    retry_after = 0.0


class RunFailedError(AnimusError):
    """The run that was waited for did not succeed."""

    exit_code = 1


class OutsideRunError(AnimusError):
    """This exists only inside a governed run."""

    exit_code = 2
