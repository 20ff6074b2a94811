# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What another policy would have said: the facts of then, the policies of now with one of them exchanged.

Facts that submissions have gained since are filled in as nobody had asked for them, so that a policy that looks at
them is not refused for want of an answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from animus_contracts.digests import canonical
from animus_contracts.identifiers import RunId
from animus_contracts.policies import Effect, PolicyDecision, PolicyText
from animus_contracts.simulations import SimulatedChange
from animus_control.domain.approvals import weigh
from animus_control.domain.policies import PLATFORM_VERSION, Request, policy_digest

GAINED: Mapping[str, Any] = {"executor_labels": [], "priority": 0, "retries": 0}
"""Facts that were not always there, with the value of a submission that does not ask for anything."""


def with_policy(policies: Sequence[PolicyText], name: str, cedar: str) -> list[PolicyText]:
    """Return the policies in force if the project's policy ``name`` had this text."""
    known = next((text.version for text in policies if (text.origin, text.name) == ("project", name)), 0)
    simulated = PolicyText(
        name=name, version=known + PLATFORM_VERSION, origin="project", digest=policy_digest(cedar), cedar=cedar
    )
    others = [text for text in policies if (text.origin, text.name) != ("project", name)]
    return [*others, simulated]


def completed(context: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts of a submission with those that it could not have yet."""
    return {**GAINED, **context}


def is_complete(context: Mapping[str, Any]) -> bool:
    """Say whether a submission had all of today's facts."""
    return GAINED.keys() <= context.keys()


def change_of(
    policies: Sequence[PolicyText],
    decision: PolicyDecision,
    run_id: RunId | None,
    *,
    project: str,
    approvers: Iterable[str],
) -> SimulatedChange | None:
    """Judge a past submission by other policies.

    Args:
        policies: The policies.
        decision: What was decided then.
        run_id: The run that came of it.
        project: The project's name.
        approvers: Who might approve.

    Returns:
        What would be decided, or None when it is the same.
    """
    context = completed(decision.context)
    facts = canonical(context).decode()
    request = Request(subject=decision.subject, action=decision.action, project=project, context=facts)
    judgement = weigh(policies, request, context, approvers)
    if judgement.effect is decision.effect:
        return None
    return SimulatedChange(
        decision_id=decision.decision_id,
        run_id=run_id,
        created_by=decision.subject,
        created_at=decision.decided_at,
        before=decision.effect,
        after=judgement.effect,
        reason=judgement.reason,
        deciding=judgement.deciding,
    )


def among(changes: Iterable[SimulatedChange], after: Effect) -> list[SimulatedChange]:
    """Return the changes with this outcome."""
    return [change for change in changes if change.after is after]
