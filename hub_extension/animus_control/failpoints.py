# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the control plane can be made to fail on purpose: around every transaction, and around every operation.

Nothing happens at any of them unless the process was started with ``ANIMUS_FAILPOINTS``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection

from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.failpoints import Effect, Failpoints, Rule
from animus_control.domain.errors import AnimusError

BEFORE, AFTER = "before", "after"
TRANSACTION_POINTS = {
    "before_tx": "work has arrived, no transaction is open",
    "in_piece": "a piece of work has changed its tables, its audit events are not chained yet",
    "after_flush": "everything of a transaction is written, the commit is not",
    "after_commit_before_reply": "the commit is durable, nobody has been told",
}
"""The points of the writer."""

POINTS = frozenset(TRANSACTION_POINTS) | {f"{at}.{row.operation}" for at in (BEFORE, AFTER) for row in ENDPOINTS}
"""All points; ``before.<operation>`` is reached before a request is decided, ``after.<operation>`` when it was."""

_armed: list[Failpoints] = []


def arm(rules: Collection[Rule]) -> None:
    """Put rules into force for this process, in place of those that were."""
    _armed[:] = [Failpoints(rules, _EFFECTS)] if rules else []


def failpoint(point: str, operation: str = "") -> None:
    """Say that a point is reached; ``operation`` completes the name of those that every operation has."""
    for armed in _armed:
        armed.reach(f"{point}.{operation}" if operation else point)


def _fail(rule: Rule) -> None:
    raise AnimusError("service_unavailable", f"the fault injected at {rule.point}")


_EFFECTS = {
    Effect.CRASH: lambda _: os.kill(os.getpid(), signal.SIGKILL),
    Effect.DELAY: lambda rule: time.sleep(rule.seconds),
    Effect.ERROR: _fail,
}
