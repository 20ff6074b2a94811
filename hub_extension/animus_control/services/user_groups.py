# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""To which groups somebody belongs is the Hub's to say, also when they are away and something acts in their name.

The Hub is asked outside any unit of work, about those in whose name something is soon done; here it is only decided
whom to ask about, and whether what is known is fresh enough. When it is not, whatever depends on it waits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from animus_control.domain.errors import AnimusError, DeniedError
from animus_control.domain.identity import Principal, PrincipalKind
from animus_control.domain.user_groups import KnownGroups, counts
from animus_control.services.calls import Call
from animus_control.services.ports import UnitOfWork

BATCH = 200
"""About how many users the Hub is asked in one round: those first of whom it has said nothing for longest."""


class UnknownGroupsError(AnimusError):
    """Nobody knows now to which groups a user belongs; the message says why, in words for who waits for it."""


def users_to_ask(uow: UnitOfWork, call: Call) -> list[str]:
    """Return the users in whose name something is soon done and of whom the Hub should be asked again."""
    bound = call.limits.groups_known
    return uow.user_groups.needed(soon=call.now + bound, as_of=call.now - bound / 2, limit=BATCH)


def note_groups(uow: UnitOfWork, answers: Sequence[KnownGroups]) -> None:
    """Store what the Hub said, or why it said nothing; a failure leaves what it said before, which grows old."""
    for answer in answers:
        known = uow.user_groups.get(answer.name) if answer.failure else None
        uow.user_groups.put(replace(known, failure=answer.failure) if known else answer)


def note_caller(uow: UnitOfWork, call: Call) -> None:
    """Store to which groups the caller belongs, unless that is known: the Hub has just said so, for this very call."""
    principal = call.principal
    if principal.kind is not PrincipalKind.USER:
        return
    known = uow.user_groups.get(principal.name)
    is_fresh = counts(known, call.now, call.limits.groups_known / 2)  # a change costs more than a look
    if known is None or known.groups != principal.groups or not is_fresh:
        uow.user_groups.put(KnownGroups(name=principal.name, groups=principal.groups, as_of=call.now))


def groups_of(uow: UnitOfWork, call: Call, principal: Principal) -> frozenset[str]:
    """Return the groups of somebody in whose name something is to be done.

    Args:
        uow: The unit of work.
        call: When; and who calls, whose own groups came with the call.
        principal: Who; a service belongs to no group.

    Raises:
        UnknownGroupsError: ``service_unavailable`` when the Hub has not said it lately.
        DeniedError: ``forbidden`` when the Hub knows no such user.
    """
    if principal.kind is not PrincipalKind.USER:
        return frozenset()
    if call.principal.subject == principal.subject:
        return call.principal.groups
    known = uow.user_groups.get(principal.name)
    if known is None or not counts(known, call.now, call.limits.groups_known):
        why = f" ({known.failure})" if known and known.failure else ""
        words = f"the Hub has not said lately to which groups {principal.subject} belongs{why}"
        raise UnknownGroupsError("service_unavailable", words)
    if known.groups is None:
        raise DeniedError("forbidden", f"The Hub knows no {principal.subject} any more.")
    return known.groups
