# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""When a schedule is due: cron in the time zone of its people, every time at most once and never backwards.

As in Debian's cron, a time of day that a change of the clock leaves out comes right after the change, and one that
comes twice counts once; what is due every hour or every few minutes follows the hours that really pass.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError

from animus_contracts.problems import Fault
from animus_contracts.schedules import CatchUp, Schedule
from animus_control.domain.limits import Limits

FIELDS = 5
MAX_CRON = 128
COMPARED = timedelta(days=366)
"""How far ahead the least distance between two times is looked for."""

MOST_COMPARED = 64

UPCOMING = 5
MOST_RECORDED = 100
PUNCTUAL = timedelta(seconds=60)
"""How late a firing may be without counting as missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done about a schedule now.

    Attributes:
        missed: Times that nobody fired at, oldest first; the newest few when there are many.
        unrecorded: How many more there were before them.
        fires: The time to fire for now, or None.
        next_at: When it is due next; None when it never comes again.
    """

    missed: list[datetime] = field(default_factory=list)
    unrecorded: int = 0
    fires: datetime | None = None
    next_at: datetime | None = None


def schedule_faults(cron: str, time_zone: str, now: datetime, limits: Limits) -> list[Fault]:
    """Check that a schedule has times, none closer together than an installation allows."""
    if time_zone not in _time_zones():
        words = f"must be a time zone such as Europe/Berlin or UTC, not {time_zone[:80]!r}"
        return [Fault(path="$.time_zone", code="unknown_time_zone", message=words)]
    fault = _cron_fault(cron)
    if fault:
        return [Fault(path="$.cron", code="invalid_cron", message=fault)]
    ahead = times(cron, time_zone, now)
    first = next(ahead, None)
    if first is None:
        return [Fault(path="$.cron", code="never_due", message=f"{cron!r} names no day that ever comes")]
    least = limits.schedule_interval
    coming = [first, *takewhile(lambda moment: moment - first < COMPARED, islice(ahead, MOST_COMPARED))]
    if any(later - earlier < least for earlier, later in pairwise(coming)):
        words = f"must leave at least {least.total_seconds():.0f} s between two runs"
        return [Fault(path="$.cron", code="too_frequent", message=words)]
    return []


def times(cron: str, time_zone: str, after: datetime) -> Iterator[datetime]:
    """Yield the times after a moment at which a sound schedule is due, in UTC, each later than the one before."""
    last = after
    for moment in CronSim(cron, after.astimezone(ZoneInfo(time_zone))):
        due = moment.astimezone(UTC)
        # Where the clock is put back, a local time comes again; where it is put forward, two fall on the same moment.
        if due > last:
            last = due
            yield due


def due_of(schedule: Schedule, now: datetime) -> Due:
    """Decide what a schedule's time has come for.

    Args:
        schedule: An active schedule.
        now: The present, not before ``next_at``.
    """
    if schedule.next_at is None or schedule.next_at > now:
        return Due(next_at=schedule.next_at)
    past = deque([schedule.next_at], maxlen=MOST_RECORDED + 1)
    count, next_at = 1, None
    for moment in times(schedule.cron, schedule.time_zone, schedule.next_at):
        if moment > now:
            next_at = moment
            break
        past.append(moment)
        count += 1
    newest = past[-1]
    fires = newest if now - newest <= PUNCTUAL or schedule.catch_up is CatchUp.LAST else None
    missed = [moment for moment in past if moment != fires][-MOST_RECORDED:]
    unrecorded = count - len(missed) - (fires is not None)
    return Due(missed=missed, unrecorded=unrecorded, fires=fires, next_at=next_at)


def _cron_fault(cron: str) -> str:
    if len(cron) > MAX_CRON or not (cron.isascii() and cron.isprintable()):
        return f"must be at most {MAX_CRON} plain characters"
    if len(cron.split()) != FIELDS:
        return f"must have {FIELDS} fields (minute hour day month weekday), not {len(cron.split())}"
    try:
        CronSim(cron, datetime(2000, 1, 1, tzinfo=UTC))
    except (CronSimError, AssertionError, ValueError) as error:
        return f"{cron!r} is not understood: {error}"
    return ""


@cache
def _time_zones() -> frozenset[str]:
    return frozenset(available_timezones())
