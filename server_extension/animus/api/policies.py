# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies: what a project allows, and what another rule would have allowed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from animus.api import Group
from animus.errors import RefusedError
from animus_contracts.pages import NamedListQuery
from animus_contracts.policies import Policy, PolicyState, PutPolicy
from animus_contracts.simulations import DEFAULT_DECISIONS, SimulatePolicy, Simulation


class Policies(Group):
    """The project's policies."""

    def put(self, name: str, cedar: str, *, description: str = "", state: PolicyState = PolicyState.ACTIVE) -> Policy:
        """Store the next version of a policy."""
        body = PutPolicy(name=name, cedar=cedar, description=description, state=state)
        policy: Policy = self._call("policies.put", body)
        return policy

    def list(self, name: str | None = None) -> Iterator[Policy]:
        """Yield policies, newest version first."""
        yield from self._pages("policies.list", NamedListQuery(name=name))

    def newest(self) -> Sequence[Policy]:
        """Return the version of each policy that counts, by name."""
        newest: dict[str, Policy] = {}
        for policy in self.list():
            newest.setdefault(policy.name, policy)
        return [newest[name] for name in sorted(newest)]

    def named(self, name: str) -> Policy:
        """Return the newest version of a policy.

        Raises:
            RefusedError: If there is none of this name.
        """
        for policy in self.list(name):
            return policy
        raise RefusedError("not_found", f"there is no policy {name!r}", remedy="animus policies")

    def simulate(
        self, name: str, cedar: str, *, since: datetime | None = None, limit: int = DEFAULT_DECISIONS
    ) -> Simulation:
        """Judge past submissions as if a policy had this text; nothing is stored."""
        body = SimulatePolicy(name=name, cedar=cedar, since=since, limit=limit)
        simulation: Simulation = self._call("policies.simulate", body)
        return simulation
