# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a policy would have said about the past: nothing is stored, nothing but the answer is made."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec

from animus_contracts.identifiers import DecisionId, RunId
from animus_contracts.policies import Effect

DEFAULT_DECISIONS = 200
MOST_DECISIONS = 1000


class SimulatePolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Judge past submissions as if the policy ``name`` had this text.

    Attributes:
        name: Name of the policy; it is replaced if the project has one of this name, otherwise added.
        cedar: Its text.
        since: Only submissions after this moment; all when None.
        limit: How many submissions to judge at most (1 to 1000), the newest first.
    """

    name: str
    cedar: str
    since: datetime | None = None
    limit: Annotated[int, msgspec.Meta(ge=1, le=MOST_DECISIONS)] = DEFAULT_DECISIONS


class SimulatedChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A submission that would have been judged otherwise.

    Attributes:
        decision_id: What was decided then.
        run_id: The run; None when the submission was refused.
        created_by: Who submitted it.
        created_at: When.
        before: What was decided then.
        after: What would be decided.
        reason: Why, in one sentence.
        deciding: Names of the policies that would make the decision.
    """

    decision_id: DecisionId
    run_id: RunId | None
    created_by: str
    created_at: datetime
    before: Effect
    after: Effect
    reason: str
    deciding: list[str]


class Simulation(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a policy would have changed.

    Attributes:
        judged: How many submissions were judged.
        unchanged: How many of them as before.
        newly_refused: Those that were admitted, or might have been approved, and would be refused.
        newly_allowed: Those that were refused or had to be approved, and would be admitted at once.
        needs_approval: Those that would wait for an approval and did not, or were refused.
        completed: How many were recorded before all of today's facts were; absent ones count as not asked for.
        truncated: Whether there were more submissions than were judged.
    """

    judged: int
    unchanged: int
    newly_refused: list[SimulatedChange]
    newly_allowed: list[SimulatedChange]
    needs_approval: list[SimulatedChange]
    completed: int
    truncated: bool
