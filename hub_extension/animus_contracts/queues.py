# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Why a run waits is told from what is stored, at the moment of the question; it promises nothing."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.identifiers import RunId


class WaitingReason(StrEnum):
    """Why a run is not given to an executor. Values leave the process and never change."""

    QUOTA_EXCEEDED = "quota_exceeded"
    NO_EXECUTOR = "no_executor"
    NO_CAPACITY = "no_capacity"
    AWAITING_APPROVAL = "awaiting_approval"
    BACKOFF = "backoff"
    IN_QUEUE = "in_queue"
    NOT_WAITING = "not_waiting"


class Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Why a run waits, and for how long it may.

    Attributes:
        run_id: Which run.
        reason: The reason, typed.
        detail: The reason in one sentence: which quota is used up, which label nobody has.
        position: Its place in the project's queue, counted from 1; None when it is not in the queue.
        ahead: How many runs are likely to start before it: those of its project that go first, and of every other
            project as many, because projects take turns. None when it is not in the queue.
        estimate_seconds: About how long until it starts, from how long the project's runs took lately; None when that
            cannot be said.
        since: Since when it waits; None when it does not.
    """

    run_id: RunId
    reason: WaitingReason
    detail: str
    position: int | None = None
    ahead: int | None = None
    estimate_seconds: float | None = None
    since: datetime | None = None
