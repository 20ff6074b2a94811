# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Reruns, replays and retries: each a new run, linked, in the right name, under the right rules."""

from __future__ import annotations

from itertools import product
from typing import Any

import msgspec
import pytest

from animus_contracts.comparisons import ReplayRun, Tolerances
from animus_contracts.executions import Lease, Verdict
from animus_contracts.origins import Origin, Relation
from animus_contracts.plans import Plan
from animus_contracts.policies import PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import Failure, FailureReason, Limitation, Run, RunState
from animus_control.domain.errors import AnimusError, ConflictError, InvalidError, MissingError
from animus_control.domain.identity import Principal
from animus_control.services.repeats import newest_attempt_of, repetitions_of
from tests.unit.control.services.desk import ADA, ED, VIC, Desk

BROKE = Failure(reason=FailureReason.INFRASTRUCTURE, summary="The machine is gone.")
NO_DEVELOPMENT = (
    'forbid (principal, action == Action::"run:submit", resource) when { context.run_class == "development" };'
)


def a_version(desk: Desk) -> dict[str, Any]:
    return {"train": desk.version().version_id}


def submitted(desk: Desk, **changes: Any) -> Run:
    desk.project()
    return desk.submit(desk.submission(**changes))


def started(desk: Desk) -> Lease:
    lease = desk.leased()
    desk.start(lease)
    return lease


def finished(desk: Desk, run: Run, failure: Failure | None = None) -> Run:
    """Execute the next run, which must be this one, to its end."""
    lease = started(desk)
    assert lease.run_id == run.run_id
    desk.end(lease, Verdict.FAILED if failure else Verdict.SUCCEEDED, failure)
    return desk.run(run)


def rerun(desk: Desk, run: Run, who: Principal = ED) -> Run:
    made: Run = desk.do(who, "runs.rerun", None, project="demo", run=run.run_id)
    return made


def replay(desk: Desk, run: Run, who: Principal = ED, **changes: Any) -> Run:
    made: Run = desk.do(who, "runs.replay", ReplayRun(**changes), project="demo", run=run.run_id)
    return made


def plan_of(desk: Desk, run: Run) -> Plan:
    return desk.read(lambda uow: uow.runs.plan(run.project_id, run.run_id))


def retries_of(desk: Desk, run: Run) -> list[Run]:
    return desk.read(lambda uow: repetitions_of(uow, run, limit=10))


def test_a_replay_executes_the_stored_plan_verbatim_and_names_its_original(any_desk: Desk) -> None:
    desk = any_desk
    desk.project()
    message = desk.submission(
        datasets=a_version(desk), parameters={}, seed=7, labels={"why": "test"}, outputs=[], cell_seconds=9.5,
        limitations=[Limitation.DIRTY_WORKTREE], retries=2, priority=5,
    )  # fmt: skip
    original = finished(desk, desk.submit(message))

    made = replay(desk, original)

    assert made.origin == Origin(
        relation=Relation.REPLAY, run_id=original.run_id, first_run_id=original.run_id, number=1
    )
    assert msgspec.structs.replace(plan_of(desk, made), run_id=original.run_id) == plan_of(desk, original)
    same = ("inputs_hash", "spec_hash", "policy_snapshot_id", "labels", "retries", "priority", "limitations")
    assert [getattr(made, name) for name in same] == [getattr(original, name) for name in same]
    assert made.state is RunState.QUEUED


def test_a_replay_is_judged_by_the_stored_policies_and_a_rerun_by_todays(desk: Desk) -> None:
    original = finished(desk, submitted(desk))
    desk.do(ADA, "policies.put", PutPolicy(name="strict", cedar=NO_DEVELOPMENT), project="demo")

    assert replay(desk, original).policy_snapshot_digest == original.policy_snapshot_digest
    with pytest.raises(AnimusError, match="strict"):
        rerun(desk, original)
    assert "run.refused" in desk.actions()


def test_repetitions_count_within_their_relation_and_know_the_first_run(desk: Desk) -> None:
    first = finished(desk, submitted(desk))
    second = finished(desk, rerun(desk, first))
    third = finished(desk, rerun(desk, second))
    fourth = replay(desk, third)

    origins = [run.origin for run in (second, third, fourth)]
    assert [(origin.run_id, origin.first_run_id, origin.number) for origin in origins if origin] == [
        (first.run_id, first.run_id, 1),
        (second.run_id, first.run_id, 2),
        (third.run_id, first.run_id, 1),
    ]
    assert [run.run_id for run in retries_of(desk, first)] == [second.run_id]


@pytest.mark.parametrize("again", [rerun, replay])
def test_a_run_that_has_not_ended_is_not_repeated(desk: Desk, again: Any) -> None:
    run = submitted(desk)
    for _ in range(2):
        with pytest.raises(ConflictError) as refused:
            again(desk, run)
        assert refused.value.code == "invalid_transition"
        if desk.run(run).state is RunState.QUEUED:
            started(desk)


@pytest.mark.parametrize("again", [rerun, replay])
def test_a_run_of_another_project_is_missing_like_one_that_never_was(desk: Desk, again: Any) -> None:
    run = finished(desk, submitted(desk))
    desk.project("other")
    told = []
    for run_id in (run.run_id, "0198f000-0000-7000-8000-000000000000"):
        operation, message = ("runs.rerun", None) if again is rerun else ("runs.replay", ReplayRun())
        with pytest.raises(MissingError) as missing:
            desk.do(ED, operation, message, project="other", run=run_id)
        told.append((missing.value.code, missing.value.detail))
    assert told[0] == told[1]


@pytest.mark.parametrize("again", [rerun, replay])
def test_who_may_not_submit_may_not_repeat(desk: Desk, again: Any) -> None:
    run = finished(desk, submitted(desk))
    with pytest.raises(AnimusError) as refused:
        again(desk, run, VIC)
    assert refused.value.code == "forbidden"


@pytest.mark.parametrize(
    "tolerances",
    [
        Tolerances(relative=-1e-9),
        Tolerances(relative=1.0),
        Tolerances(absolute=-1.0),
        Tolerances(absolute=float("inf")),
    ],
)
def test_a_tolerance_that_is_none_is_refused(desk: Desk, tolerances: Tolerances) -> None:
    run = finished(desk, submitted(desk))
    with pytest.raises(InvalidError, match=r"\$\.tolerances\."):
        replay(desk, run, tolerances=tolerances)


def test_a_repetition_belongs_to_who_asked_for_it(desk: Desk) -> None:
    run = finished(desk, submitted(desk))
    assert (run.created_by, rerun(desk, run, ADA).created_by) == ("user:ed", "user:ada")


CASES = list(product(FailureReason, (0, 1)))


@pytest.mark.parametrize(("reason", "retries"), CASES, ids=str)
def test_only_infrastructure_failures_are_retried_and_only_while_retries_are_left(
    desk: Desk, reason: FailureReason, retries: int
) -> None:
    run = finished(desk, submitted(desk, retries=retries), Failure(reason=reason, summary="It ended."))

    made = retries_of(desk, run)

    expected = 1 if reason is FailureReason.INFRASTRUCTURE and retries else 0
    assert len(made) == expected
    assert desk.actions().count("run.retry_scheduled") == expected


def test_retries_are_bounded_linked_and_wait_longer_each_time(any_desk: Desk) -> None:
    desk = any_desk
    run = submitted(desk, retries=2)
    chain = [finished(desk, run, BROKE)]
    waits = []
    while retries := retries_of(desk, chain[-1]):
        (made,) = retries
        assert made.not_before is not None
        waits.append((made.not_before - desk.now).total_seconds())
        desk.later(waits[-1])
        desk.write(lambda uow: uow.queue.release(desk.now))
        chain.append(finished(desk, made, BROKE))

    origins = [each.origin for each in chain[1:]]
    assert [(origin.relation, origin.run_id, origin.number) for origin in origins if origin] == [
        (Relation.RETRY, chain[0].run_id, 1),
        (Relation.RETRY, chain[1].run_id, 2),
    ]
    assert 5 <= waits[0] <= 6.25
    assert 10 <= waits[1] <= 12.5
    newest = desk.read(lambda uow: newest_attempt_of(uow, run))
    assert newest.run_id == chain[-1].run_id
    assert {each.created_by for each in chain} == {"user:ed"}


def test_a_retry_is_judged_by_the_policies_of_its_run(desk: Desk) -> None:
    run = submitted(desk, retries=1)
    desk.do(ADA, "policies.put", PutPolicy(name="strict", cedar=NO_DEVELOPMENT), project="demo")

    (made,) = retries_of(desk, finished(desk, run, BROKE))

    assert made.policy_snapshot_digest == run.policy_snapshot_digest


def test_a_run_whose_owner_lost_the_right_is_not_retried_and_that_is_recorded(desk: Desk) -> None:
    run = submitted(desk, retries=3)
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject="ed", role=Role.VIEWER)
    desk.do(ADA, "role_bindings.put", binding, project="demo")

    ended = finished(desk, run, BROKE)

    assert (ended.state, retries_of(desk, ended)) == (RunState.FAILED, [])
    refused = [record for record in desk.audit() if record.action == "run.retry_refused"]
    assert [(record.resource, record.details["code"]) for record in refused] == [(f"run:{run.run_id}", "forbidden")]


@pytest.mark.parametrize(("groups", "retries"), [({"lab"}, 1), (set(), 0), (None, 0)])
def test_a_run_is_retried_as_long_as_its_owner_is_in_the_group_that_may(
    desk: Desk, groups: set[str] | None, retries: int
) -> None:
    desk.project()
    binding = PutRoleBinding(subject_type=SubjectType.GROUP, subject="lab", role=Role.EDITOR)
    desk.do(ADA, "role_bindings.put", binding, project="demo")
    mia = Principal(name="mia", kind=ED.kind, groups=frozenset({"lab"}), ceiling=ED.ceiling)
    run = desk.submit(desk.submission(retries=1), mia)
    desk.hub_says("mia", groups)

    assert len(retries_of(desk, finished(desk, run, BROKE))) == retries
    assert ("run.retry_refused" in desk.actions()) is not bool(retries)


def test_a_lost_executor_leads_to_a_retry(desk: Desk) -> None:
    run = submitted(desk, retries=1)
    started(desk)
    for _ in range(2):
        desk.later(31)
        desk.reconcile()

    assert desk.run(run).state is RunState.FAILED
    (made,) = retries_of(desk, run)
    assert made.origin is not None
    assert (made.origin.relation, made.not_before is not None) == (Relation.RETRY, True)


def test_a_run_is_retried_once_however_often_its_end_is_told(desk: Desk) -> None:
    run = submitted(desk, retries=3)
    lease = started(desk)
    for _ in range(2):
        desk.end(lease, Verdict.FAILED, BROKE)
    assert len(retries_of(desk, run)) == 1
