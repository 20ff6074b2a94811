# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A policy is tried on what was really submitted before it is stored; a simulation changes nothing at all."""

from __future__ import annotations

from animus_contracts.policies import Effect
from animus_contracts.simulations import SimulatePolicy, Simulation
from animus_control.domain.approvals import candidates
from animus_control.domain.names import name_faults, refuse
from animus_control.domain.policies import check_policy, in_force
from animus_control.domain.simulations import among, change_of, is_complete, with_policy
from animus_control.services.approvals import approvers_of
from animus_control.services.calls import Call
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of


@operation("policies.simulate")
def simulate_policy(uow: UnitOfWork, call: Call, message: SimulatePolicy) -> Simulation:
    """Judge past submissions as if a policy had another text."""
    refuse(name_faults(message.name, rule="resource"))
    check_policy(message.name, message.cedar, call.limits)
    project = project_of(call)
    policies = with_policy(in_force(uow.policies.newest(project.project_id)), message.name, message.cedar)
    judged, truncated = uow.policy_decisions.submissions(project.project_id, since=message.since, limit=message.limit)
    people = list(approvers_of(uow, project.project_id))
    changes = [
        change
        for decision, run_id in judged
        if (
            change := change_of(
                policies, decision, run_id, project=project.name, approvers=candidates(people, decision.subject)
            )
        )
    ]
    return Simulation(
        judged=len(judged),
        unchanged=len(judged) - len(changes),
        newly_refused=among(changes, Effect.DENY),
        newly_allowed=among(changes, Effect.ALLOW),
        needs_approval=among(changes, Effect.REQUIRE_APPROVAL),
        completed=sum(not is_complete(decision.context) for decision, _ in judged),
        truncated=truncated,
    )
