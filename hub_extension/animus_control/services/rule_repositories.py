# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What rules, approvals and schedules are kept in and found by, as protocols; see :mod:`.repositories`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from animus_contracts.approvals import Approval, ApprovalState
from animus_contracts.identifiers import ProjectId, RunId, ScheduleId
from animus_contracts.pages import Page
from animus_contracts.policies import Policy, PolicyDecision
from animus_contracts.schedules import Firing, FiringState, Schedule
from animus_control.domain.user_groups import KnownGroups
from animus_control.services.repositories import Records


class Policies(Records[Policy], Protocol):
    """Policy versions."""

    def newest(self, project_id: ProjectId) -> list[Policy]:
        """Return the newest version of every policy of the project, whatever its state, by name."""


class PolicyDecisions(Records[PolicyDecision], Protocol):
    """Policy decisions."""

    def submissions(
        self, project_id: ProjectId, *, since: datetime | None, limit: int
    ) -> tuple[list[tuple[PolicyDecision, RunId | None]], bool]:
        """Return what was decided about submissions, newest first, each with its run; and whether there are more."""


class Approvals(Records[Approval], Protocol):
    """Approvals; each is decided once."""

    def compare_and_set(self, approval: Approval, *, expected_version: int) -> bool:
        """Store what was decided if the stored approval is pending and has the expected version."""

    def inbox(
        self, *, limit: int, cursor: str | None, only: Sequence[ProjectId] | None, state: ApprovalState | None
    ) -> Page[Approval]:
        """Return a page of the approvals of these projects, or of all, newest first. Raises ValueError."""

    def expired(self, now: datetime, *, limit: int) -> list[Approval]:
        """Return pending approvals whose time is over, the oldest first."""


class Schedules(Records[Schedule], Protocol):
    """Schedules."""

    def named(self, project_id: ProjectId, name: str) -> Schedule | None:
        """Return the schedule of this name that is not retired."""

    def count(self, project_id: ProjectId) -> int:
        """Return how many schedules of the project are not retired."""

    def due(self, now: datetime, *, limit: int) -> list[Schedule]:
        """Return active schedules that are due, those that wait longest first."""

    def compare_and_set(self, schedule: Schedule, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one and the schedule is not retired."""


class Firings(Records[Firing], Protocol):
    """Firings; a schedule has at most one for each time."""

    def last(self, project_id: ProjectId, schedule_id: ScheduleId, state: FiringState) -> Firing | None:
        """Return the newest firing of a schedule that is in a state."""

    def compare_and_set(self, firing: Firing, *, expected_version: int) -> bool:
        """Store what became of a firing if the stored one is pending and has the expected version."""

    def overdue(self, before: datetime, *, limit: int) -> list[Firing]:
        """Return firings that have been pending since before a moment, the oldest first."""

    def ready(self, *, known_since: datetime, limit: int) -> list[Firing]:
        """Return pending firings that wait for nothing any more, the oldest first.

        No inspection of theirs is under way, and their owner's groups are known since ``known_since``.
        """


class UserGroups(Protocol):
    """What the Hub has said about the groups of users."""

    def get(self, name: str) -> KnownGroups | None:
        """Return what is known of a user."""

    def put(self, known: KnownGroups) -> None:
        """Store what the Hub said last, unaudited: what is done because of it is audited."""

    def needed(self, *, soon: datetime, as_of: datetime, limit: int) -> list[str]:
        """Return users in whose name something is done until ``soon`` and who were not asked about since ``as_of``."""
