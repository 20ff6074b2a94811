# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies come in versions that never change; what was in force, and what was decided, never changes either."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, func, select, tuple_

from animus_contracts.identifiers import RANDOM_BYTES, ProjectId, RunId, uuid7
from animus_contracts.policies import Effect, Policy, PolicyDecision, PolicySnapshot
from animus_control.domain.approvals import APPROVAL
from animus_control.domain.policies import SUBMIT
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.records import Layout, RecordTable
from animus_control.storage.rule_tables import policies, policy_decisions, policy_snapshots
from animus_control.storage.run_tables import runs
from animus_control.storage.session import Session

POLICIES = Layout[Policy](policies)
POLICY_SNAPSHOTS = Layout[PolicySnapshot](policy_snapshots)
POLICY_DECISIONS = Layout[PolicyDecision](policy_decisions)
_LATEST = (
    select(policies.c.name, func.max(policies.c.version))
    .where(policies.c.project_id == bindparam("project"))
    .group_by(policies.c.name)
)
_NEWEST = Prepared(
    POLICIES.select()
    .where(policies.c.project_id == bindparam("project"), tuple_(policies.c.name, policies.c.version).in_(_LATEST))
    .order_by(policies.c.name)
)
_SUBMITTED = Prepared(
    POLICY_DECISIONS.select()
    .where(policy_decisions.c.project_id == bindparam("project"), policy_decisions.c.decision_id >= bindparam("first"))
    .order_by(policy_decisions.c.decision_id.desc())
    .limit(bindparam("count"))
)
_ADMITTED = Prepared(
    select(runs.c.run_id, runs.c.policy_decision_id).where(
        runs.c.project_id == bindparam("project"), runs.c.run_id >= bindparam("first")
    )
)


class PolicyTable(RecordTable[Policy]):
    """Policy versions."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, POLICIES)

    def newest(self, project_id: ProjectId) -> list[Policy]:
        """Return the newest version of every policy of the project, whatever its state, by name."""
        return [POLICIES.read(row) for row in self._session.all(_NEWEST, {"project": project_id})]


class PolicyDecisionTable(RecordTable[PolicyDecision]):
    """Policy decisions."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, POLICY_DECISIONS)

    def submissions(
        self, project_id: ProjectId, *, since: datetime | None, limit: int
    ) -> tuple[list[tuple[PolicyDecision, RunId | None]], bool]:
        """Return what was decided about submissions, newest first, each with its run; and whether there are more.

        What was decided about a run again (its start, its approval) is left out.
        """
        values = {"project": project_id, "first": _first_id(since), "count": limit + 1}
        found = [POLICY_DECISIONS.read(row) for row in self._session.all(_SUBMITTED, values)]
        if not found:
            return [], False
        decisions = found[:limit]
        # A run and its decision are made at one moment, and ids begin with the moment: no other runs are looked at.
        since_oldest = {"project": project_id, "first": _first_id(decisions[-1].decided_at)}
        admitted = {row.policy_decision_id: row.run_id for row in self._session.all(_ADMITTED, since_oldest)}
        submissions = [
            (decision, admitted.get(decision.decision_id))
            for decision in decisions
            if decision.decision_id in admitted or _is_refusal(decision)
        ]
        return submissions, len(found) > limit


def _first_id(moment: datetime | None) -> str:
    return uuid7(moment, bytes(RANDOM_BYTES)) if moment else ""


def _is_refusal(decision: PolicyDecision) -> bool:
    return decision.effect is Effect.DENY and decision.action == SUBMIT and APPROVAL not in decision.context
