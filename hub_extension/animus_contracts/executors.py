# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor is known by what it last said of itself; nobody registers one by hand."""

from __future__ import annotations

from datetime import datetime

import msgspec

from animus_contracts.executions import Capacity
from animus_contracts.runs import Limitation


class Executor(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An executor as it last asked for work.

    Attributes:
        name: Its name, which its credential stands for.
        platform: Platform tag of the runs it takes.
        labels: What it says of itself; a run may ask for some of them.
        capacity: What it has free, as far as is known; None when it sets no bound.
        largest: The most it ever had free since it became what it is; None when it sets no bound.
        limitations: What it cannot protect a run from; with any of them it is given no production run.
        registered_at: Since when it has this platform, these labels and these limitations.
        last_seen_at: When it was last heard of, to about ten seconds.
    """

    name: str
    platform: str
    labels: dict[str, str]
    capacity: Capacity | None
    largest: Capacity | None
    limitations: list[Limitation]
    registered_at: datetime
    last_seen_at: datetime
