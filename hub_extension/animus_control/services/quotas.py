# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A quota comes in versions and counts from the commit that stores it; what a run used is added up when it ends."""

from __future__ import annotations

import msgspec

from animus_contracts.audit import Action
from animus_contracts.identifiers import QuotaId
from animus_contracts.pipeline_runs import SubmitPipeline
from animus_contracts.problems import Fault
from animus_contracts.quotas import ProjectQuota, PutQuota, Quota
from animus_contracts.runs import Run, SubmitRun
from animus_control.domain.names import refuse
from animus_control.domain.quotas import quota_faults, spent_by_day, usage_of
from animus_control.services.calls import Call, audited
from animus_control.services.moves import ENDED, EVERY_QUEUE
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import project_of


@operation("quotas.put")
def put_quota(uow: UnitOfWork, call: Call, message: PutQuota) -> Quota:
    """Store the next version of a project's quota."""
    refuse(quota_faults(message))
    project_id = project_of(call).project_id
    before = uow.quotas.find(project_id)
    quota = Quota(
        quota_id=QuotaId(call.new_id()),
        project_id=project_id,
        version=before.version + 1 if before else 1,
        created_at=call.now,
        created_by=call.principal.subject,
        **msgspec.structs.asdict(message),
    )
    uow.quotas.add(quota)
    details = {"version": quota.version, **msgspec.structs.asdict(message)}
    uow.audit.append(audited(call, Action.QUOTA_STORED, f"quota:{quota.quota_id}", details=details))
    uow.notify(EVERY_QUEUE)
    return quota


@operation("quotas.read")
def read_quota(uow: UnitOfWork, call: Call, message: None) -> ProjectQuota:  # noqa: ARG001 - every operation has a message
    """Return a project's quota and what it uses."""
    standing = uow.quotas.standing(project_of(call).project_id, call.now)
    return ProjectQuota(quota=standing.quota, usage=usage_of(standing, call.now))


def check_priority(uow: UnitOfWork, call: Call, message: SubmitRun | SubmitPipeline) -> None:
    """Refuse a priority above what the project's quota allows; nobody's quota forbids the usual one.

    Raises:
        InvalidError: ``priority_limit_exceeded``.
    """
    quota = uow.quotas.find(project_of(call).project_id) if message.priority > 0 else None
    if quota is None or quota.max_priority is None or message.priority <= quota.max_priority:
        return
    words = f"must be at most {quota.max_priority} by the project's quota, not {message.priority}"
    fault = Fault(path="$.priority", code="over_limit", message=words)
    remedy = "Submit it with less, or ask an administrator of the platform for a higher bound."
    refuse([fault], code="priority_limit_exceeded", remedy=remedy)


def account(uow: UnitOfWork, call: Call, ended: Run) -> None:  # noqa: ARG001 - as all that are told of an end
    """Add what a run used to its project's days, and wake whoever its end makes room for."""
    if ended.started_at is not None and ended.finished_at is not None:
        for day, spent in spent_by_day(ended.started_at, ended.finished_at, ended.resources):
            uow.quotas.spend(ended.project_id, day, spent)
    if uow.quotas.find(ended.project_id) is not None:
        uow.notify(EVERY_QUEUE)


ENDED.append(account)
