# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the executor can be made to fail on purpose: around every call of the data plane's protocol, nowhere else.

Nothing happens at any of them unless the process was started with ``ANIMUS_EXECUTOR_FAILPOINTS``.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Collection

from animus_contracts.endpoint import Caller
from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.failpoints import Effect, Failpoints, Rule

BEFORE, AFTER = "before", "after"
CALLED = [row.operation for row in ENDPOINTS if row.caller is Caller.EXECUTOR]
POINTS = frozenset(f"{at}.{operation}" for at in (BEFORE, AFTER) for operation in CALLED)
"""All points; ``before.<operation>`` is reached before a call is sent, ``after.<operation>`` when it was answered."""

_armed: list[Failpoints] = []


class InjectedError(Exception):
    """An answer that was lost on purpose."""


def arm(rules: Collection[Rule]) -> None:
    """Put rules into force for this process, in place of those that were."""
    _armed[:] = [Failpoints(rules, _EFFECTS)] if rules else []


def failpoint(at: str, operation: str) -> None:
    """Say that a point is reached."""
    for armed in _armed:
        armed.reach(f"{at}.{operation}")


def _fail(rule: Rule) -> None:
    raise InjectedError(f"the fault injected at {rule.point}")


_EFFECTS = {
    Effect.CRASH: lambda _: os.kill(os.getpid(), signal.SIGKILL),
    Effect.DELAY: lambda rule: time.sleep(rule.seconds),
    Effect.ERROR: _fail,
}
