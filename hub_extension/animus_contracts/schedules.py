# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A schedule submits the same run again and again, in its owner's name; each time it was due leaves a firing."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from animus_contracts.identifiers import DecisionId, FiringId, InspectionId, ProjectId, RunId, ScheduleId
from animus_contracts.projects import Role
from animus_contracts.runs import SubmitRun


class Overlap(StrEnum):
    """What happens when a schedule is due while its previous run has not ended."""

    SKIP = "skip"
    ALLOW = "allow"
    CANCEL_PREVIOUS = "cancel_previous"


class CatchUp(StrEnum):
    """What happens to the times at which nobody was there to fire: none is made up for, or the last one is."""

    NONE = "none"
    LAST = "last"


class ScheduleState(StrEnum):
    """A paused schedule may be resumed; a retired one never comes back."""

    ACTIVE = "active"
    PAUSED = "paused"
    RETIRED = "retired"


class CreateSchedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Submit a run at certain times.

    Attributes:
        name: Name of the schedule, unique among the project's schedules that are not retired.
        cron: Minute, hour, day of the month, month and day of the week.
        time_zone: IANA name of the zone in which ``cron`` is meant.
        submission: What is submitted.
        ref: Branch or tag whose commit of that moment is run; the submission's own commit when empty.
        overlap: What to do while the previous run has not ended.
        catch_up: What to do about times at which the control plane was down.
    """

    name: str
    cron: str
    submission: SubmitRun
    time_zone: str = "UTC"
    ref: str = ""
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.NONE


class Schedule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A schedule.

    Attributes:
        role: The most it acts with: the role in use when it was created.
        created_by: Its owner, in whose name it submits.
        next_at: When it is due next; None unless it is active.
        version: Counts the changes, firings included.
        upcoming: The next times it is due, when a single schedule is read.
    """

    schedule_id: ScheduleId
    project_id: ProjectId
    name: str
    cron: str
    time_zone: str
    submission: SubmitRun
    ref: str
    overlap: Overlap
    catch_up: CatchUp
    role: Role
    created_at: datetime
    created_by: str
    state: ScheduleState = ScheduleState.ACTIVE
    version: int = 1
    next_at: datetime | None = None
    upcoming: list[datetime] = []


class FiringState(StrEnum):
    """What became of a time at which a schedule was due; all but ``pending`` are final."""

    PENDING = "pending"
    FIRED = "fired"
    MISSED = "missed"
    SKIPPED = "skipped"
    REFUSED = "refused"


class Firing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One time at which a schedule was due.

    Attributes:
        due_at: The time; a schedule has at most one firing for it.
        inspection_id: The inspection that finds the commit of the schedule's branch.
        reason: Why it was not fired, in one sentence.
        commit_id: The commit that was run.
        run_id: The run it submitted.
        decision_id: The policy decision that refused it.
    """

    firing_id: FiringId
    project_id: ProjectId
    schedule_id: ScheduleId
    due_at: datetime
    created_at: datetime
    inspection_id: InspectionId | None = None
    state: FiringState = FiringState.PENDING
    version: int = 1
    reason: str = ""
    commit_id: str = ""
    run_id: RunId | None = None
    decision_id: DecisionId | None = None
