# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The Hub's word about somebody's groups counts for a while and no longer; unknown groups are never no groups.

Nobody is asked here: what the Hub has said, and when it was asked, is stored before anything depends on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownGroups:
    """What the Hub has said about a user.

    Attributes:
        name: The user.
        groups: Their groups; None when the Hub knows no such user.
        as_of: When the Hub was asked for them; None when it has never answered.
        failure: Why it did not answer when it was asked last; empty when it did.
    """

    name: str
    groups: frozenset[str] | None = None
    as_of: datetime | None = None
    failure: str = ""


def counts(known: KnownGroups | None, now: datetime, bound: timedelta) -> bool:
    """Say whether what is known may still be acted upon.

    Args:
        known: What the Hub has said, if it has ever been asked.
        now: The present.
        bound: How old it may be.
    """
    return known is not None and known.as_of is not None and now - known.as_of <= bound
