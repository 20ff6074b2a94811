# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the data plane answers later: asked again with growing pauses until the answer is there, or patience is over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, TypeVar

from animus.errors import UnreachableError
from animus_contracts.answers import AnswerState

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 1.0
PATIENCE = 600.0
"""How long an answer is waited for, in seconds: three attempts of a task and their leases."""


class Awaited(Protocol):
    """A record that is answered later."""

    @property
    def state(self) -> AnswerState:
        """Whether it is answered."""


Record = TypeVar("Record", bound=Awaited)


def awaited(read: Callable[[], Record], *, patience: float = PATIENCE) -> Record:
    """Return a record as soon as it waits no more.

    Args:
        read: Reads it.
        patience: How long to ask, in seconds.

    Raises:
        UnreachableError: ``no_answer`` when it still waits then.
    """
    deadline, pause = time.monotonic() + patience, FIRST_PAUSE
    while (record := read()).state is AnswerState.PENDING:
        if time.monotonic() > deadline:
            message = f"no executor has answered for {patience:.0f} s"
            raise UnreachableError("no_answer", message, remedy="is an executor running? Asking again is safe")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    return record
