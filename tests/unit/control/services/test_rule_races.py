# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two control planes on one database decide an approval or a retry, and fire a schedule, at the very same moment."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import count
from threading import Barrier
from typing import Any

import pytest

from animus_contracts.approvals import Approval, ApprovalVerdict, DecideApproval
from animus_contracts.executions import Verdict
from animus_contracts.pages import ApprovalListQuery, ListQuery, RunListQuery
from animus_contracts.policies import PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import CancelRun, Failure, FailureReason, Run, RunState
from animus_contracts.schedules import CreateSchedule, FiringState, Overlap
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import EVERY_PROJECT, SYSTEM, Principal, PrincipalKind
from animus_control.services.firings import fire_due
from animus_control.services.repeats import repetitions_of, resume_retries
from animus_control.storage.engine import open_database
from tests.unit.control.services.desk import ADA, ED, VIC, Desk

ROUNDS = 12
GATE = '@id("gate") forbid (principal, action, resource) unless { context has approval };'
BOSS = Principal(name="boss", kind=PrincipalKind.USER, ceiling={EVERY_PROJECT: Role.ADMIN})
APPROVE = DecideApproval(verdict=ApprovalVerdict.APPROVE)
REFUSE = DecideApproval(verdict=ApprovalVerdict.REFUSE, comment="no")


@pytest.fixture
def desks(database_url: str) -> Iterator[list[Desk]]:
    """Two control planes on one database."""
    databases = [open_database(database_url), open_database(database_url)]
    numbers: Any = count()
    yield [Desk(database, numbers=numbers) for database in databases]
    for database in databases:
        database.close()


def at_once(*works: Any) -> list[Any]:
    """Do several things at the same moment; an error's code stands for its result."""
    barrier = Barrier(len(works))

    def work(function: Any) -> Any:
        barrier.wait()
        try:
            return function()
        except AnimusError as error:
            return error.code

    with ThreadPoolExecutor(len(works)) as pool:
        return list(pool.map(work, works))


def waiting(desk: Desk, count: int) -> Iterator[tuple[Run, Approval]]:
    """Submit runs that wait for an approval."""
    desk.project()
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject="boss", role=Role.ADMIN)
    desk.do(ADA, "role_bindings.put", binding, project="demo")
    desk.do(ADA, "policies.put", PutPolicy(name="gate", cedar=GATE), project="demo")
    message = desk.submission()
    for _ in range(count):
        run = desk.submit(message)
        (asked,) = desk.do(VIC, "approvals.list", ApprovalListQuery(run_id=run.run_id), project="demo").items
        yield run, asked


def decide(desk: Desk, who: Principal, verdict: DecideApproval, asked: Approval) -> str:
    decided = desk.do(who, "approvals.decide", verdict, project="demo", approval=asked.approval_id)
    return str(decided.state)


def endings(desk: Desk, asked: Approval) -> list[str]:
    """Return what the audit log tells of the end of an approval."""
    told = [
        record.action.value for record in desk.audit(asked.project_id) if record.resource.endswith(asked.approval_id)
    ]
    return [action.removeprefix("approval.") for action in told if action != "approval.requested"]


def test_of_two_people_who_decide_at_once_one_is_told_it_is_decided(desks: list[Desk]) -> None:
    first, second = desks
    states = {"approved": RunState.QUEUED, "refused": RunState.CANCELED}
    for run, asked in waiting(first, ROUNDS):
        said = at_once(partial(decide, first, ADA, APPROVE, asked), partial(decide, second, BOSS, REFUSE, asked))

        (state,) = [word for word in said if word != "approval_not_pending"]
        assert len(said) == len(set(said))
        assert (first.run(run).state, endings(first, asked)) == (states[state], [state])


def test_a_run_that_is_canceled_while_it_is_approved_has_one_ending(desks: list[Desk]) -> None:
    first, second = desks
    for run, asked in waiting(first, ROUNDS):
        cancel = partial(second.do, ED, "runs.cancel", CancelRun(), project="demo", run=run.run_id)
        said = at_once(partial(decide, first, ADA, APPROVE, asked), cancel)[0]

        state = {"approved": "approved", "approval_not_pending": "withdrawn"}[said]
        assert (first.run(run).state, endings(first, asked)) == (RunState.CANCELED, [state])


def tick(desk: Desk) -> int:
    call = desk.call(SYSTEM)
    return desk.write(lambda uow: fire_due(uow, call))


def test_a_schedule_is_fired_by_one_of_two_control_planes(desks: list[Desk]) -> None:
    first, second = desks
    first.project()
    wanted = CreateSchedule(name="often", cron="* * * * *", submission=first.submission(), overlap=Overlap.ALLOW)
    first.do(ED, "schedules.create", wanted, project="demo")
    for _ in range(ROUNDS):
        for desk in desks:
            desk.later(60)
        at_once(partial(tick, first), partial(tick, second))

    fired = first.do(VIC, "firings.list", ListQuery(), project="demo", schedule="often").items
    runs = first.do(VIC, "runs.list", RunListQuery(), project="demo").items
    assert [firing.state for firing in fired] == [FiringState.FIRED] * ROUNDS
    assert {firing.run_id for firing in fired} == {run.run_id for run in runs}
    assert len(runs) == ROUNDS


def repetitions(desk: Desk, run: Run) -> list[Run]:
    return desk.read(lambda uow: repetitions_of(uow, run, limit=10))


def resume(desk: Desk) -> str:
    call = desk.call(SYSTEM)
    return str(desk.write(lambda uow: resume_retries(uow, call)))


@pytest.mark.parametrize("is_canceled", [False, True])
def test_a_held_retry_has_one_fate_whoever_else_decides_about_it(desks: list[Desk], is_canceled: bool) -> None:
    first, second = desks
    first.project()
    message = first.submission(retries=1)
    broke = Failure(reason=FailureReason.INFRASTRUCTURE, summary="The machine is gone.")
    for number in range(ROUNDS):
        run = first.submit(message)
        first.hub_says("ed", (), ago=31)
        lease = first.leased()
        first.start(lease)
        first.end(lease, Verdict.FAILED, broke, event_id=f"end-{number}")
        first.hub_says("ed", ())
        cancel = partial(second.do, ED, "runs.cancel", CancelRun(), project="demo", run=run.run_id)

        at_once(partial(resume, first), cancel if is_canceled else partial(resume, second))

        made = repetitions(first, run)
        told = [record.action for record in first.audit(run.project_id) if record.resource == f"run:{run.run_id}"]
        assert told[-2:] == ["run.retry_held", "run.retry_scheduled" if made else "run.retry_withdrawn"]
        assert len(made) == 1 or is_canceled
        first.later(60)
        for retry in made:
            first.do(ED, "runs.cancel", CancelRun(), project="demo", run=retry.run_id)
