# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Silence counts only while somebody listened: what no control plane could hear says nothing about an executor.

An expired lease tells that no heartbeat was stored, not that none was sent. What has not started can be given to
another executor all the same, because its executor counts the lease itself and starts nothing after it. What has
started may be alive, so it is doubted first, and given up only by a control plane that has listened without a break
for as long as the grace lasts.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from animus_contracts.runs import RunState


class Handling(StrEnum):
    """What is done about a lease that has expired."""

    RETURN = "return"
    DOUBT = "doubt"
    LISTEN = "listen"
    GIVE_UP = "give_up"


def handling(state: RunState, listened: timedelta, grace: timedelta) -> Handling:
    """Decide about a run whose lease, or whose grace after it, has expired.

    Args:
        state: Where the run is.
        listened: For how long heartbeats could be heard without a break, until now.
        grace: How long a run in doubt may still be found.
    """
    if state is RunState.DISPATCHING:
        return Handling.RETURN
    if state is RunState.RUNNING:
        return Handling.DOUBT
    return Handling.GIVE_UP if listened >= grace else Handling.LISTEN
