# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An attempt from lease to end: one holder, one start, events in order, one end, all at once."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from animus_contracts.audit import Outcome
from animus_contracts.executions import Lease, RenewCredentials
from animus_contracts.identifiers import ExecutionId
from animus_contracts.runs import FailureReason, Limitation, RunClass, RunState
from animus_control.domain.errors import AnimusError, DeniedError, MissingError
from animus_control.domain.identity import Principal
from animus_control.services.objects import Content
from animus_control.services.tokens import token_hash
from tests.unit.control.services.attempts import EVENTS, code_of
from tests.unit.control.services.desk import LOCAL, REMOTE, VIC, Desk, runner_of


def test_lease_carries_the_plan_and_a_token_stored_only_as_its_digest(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()

    lease = desk.leased()

    assert (lease.run_id, lease.attempt, lease.epoch, lease.plan_digest) == (run.run_id, 1, 1, run.plan_digest)
    assert desk.run(run).state is RunState.DISPATCHING
    assert desk.lease() is None
    assert desk.read(lambda uow: uow.tokens.find(lease.dispatch_token)) is None
    stored = desk.read(lambda uow: uow.tokens.find(token_hash(lease.dispatch_token)))
    assert stored is not None
    assert (stored.kind, stored.epoch) == ("dispatch", 1)
    assert lease.dispatch_token not in msgspec.json.encode(desk.audit()).decode()


def test_longest_waiting_run_is_leased_first(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    runs = []
    for _ in range(3):
        runs.append(desk.submit(message).run_id)
        desk.later(1)

    assert [desk.leased().run_id for _ in runs] == runs


def test_production_run_is_not_given_to_an_executor_that_lacks_protection(desk: Desk) -> None:
    desk.project()
    production = desk.submit(desk.submission(run_class=RunClass.PRODUCTION, seed=1))
    development = desk.submit(desk.submission())

    first = desk.lease(LOCAL, Limitation.NETWORK_NOT_ISOLATED)
    assert first is not None
    assert first.run_id == development.run_id
    assert desk.lease(LOCAL, Limitation.NETWORK_NOT_ISOLATED) is None
    assert desk.leased().run_id == production.run_id


def test_start_gives_a_run_token_and_the_run_runs(any_desk: Desk) -> None:
    desk = any_desk
    run = desk.submit()
    lease = desk.leased()
    desk.later(2)

    token = desk.start(lease, LOCAL, Limitation.NETWORK_NOT_ISOLATED)

    started = desk.run(run)
    stored = desk.read(lambda uow: uow.tokens.find(token_hash(token)))
    assert token.startswith("ar_")
    assert stored is not None
    assert (stored.kind, stored.run_id, stored.epoch) == ("run", run.run_id, 1)
    assert (started.state, started.started_at) == (RunState.RUNNING, desk.now)
    assert started.limitations == [Limitation.NETWORK_NOT_ISOLATED, Limitation.SEED_NOT_SET]


def test_repeated_start_kills_the_token_given_before(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    first = desk.start(lease)

    second = desk.start(lease)

    found = [desk.read(lambda uow, token=token: uow.tokens.find(token_hash(token))) for token in (first, second)]
    assert found[0] is None
    assert found[1] is not None
    assert desk.actions().count("execution.started") == 1


def test_start_cannot_be_repeated_after_the_first_report(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    desk.report(lease, EVENTS[0])

    assert code_of(desk.start, lease) == "forbidden"


def renewed(desk: Desk, lease: Lease, who: Principal = LOCAL, **changes: Any) -> str:
    message = RenewCredentials(**{"epoch": lease.epoch} | changes)
    token: str = desk.do(who, "executions.renew", message, execution=lease.execution_id).run_token
    return token


def test_a_renewed_token_replaces_the_one_before_although_that_has_reported(any_desk: Desk) -> None:
    desk = any_desk
    desk.submit()
    lease = desk.leased()
    before = desk.start(lease)
    desk.report(lease, EVENTS[0])

    token = renewed(desk, lease)

    stored = desk.read(lambda uow: [uow.tokens.find(token_hash(each)) for each in (before, token)])
    assert stored[0] is None
    assert stored[1] is not None
    assert (stored[1].kind, stored[1].epoch, stored[1].execution_id) == ("run", lease.epoch, lease.execution_id)
    assert desk.report(lease, EVENTS[1]) == 2


def test_no_token_is_renewed_before_the_start_or_after_the_end_or_for_somebody_else(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    codes = []

    def refused(who: Principal = LOCAL, **changes: Any) -> None:
        with pytest.raises(AnimusError) as caught:
            renewed(desk, lease, who, **changes)
        codes.append(caught.value.code)

    refused()
    desk.start(lease)
    refused(REMOTE)
    refused(epoch=lease.epoch + 1)
    desk.end(lease)
    refused()
    assert codes == ["invalid_transition", "not_found", "stale_epoch", "stale_epoch"]


@pytest.mark.parametrize("token", ["", "ad_forged", "ar_forged"])
def test_forged_dispatch_token_starts_nothing_and_is_audited(desk: Desk, token: str) -> None:
    run = desk.submit()
    lease = desk.leased()

    assert code_of(desk.start, lease, dispatch_token=token) == "forbidden"

    record = desk.audit()[-1]
    assert (record.action, record.outcome, record.project_id) == ("token.rejected", Outcome.DENIED, run.project_id)
    assert desk.run(run).state is RunState.DISPATCHING


def test_dispatch_token_of_another_lease_starts_nothing(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    desk.submit(message)
    desk.submit(message)
    one, other = desk.leased(), desk.leased()

    assert code_of(desk.start, one, dispatch_token=other.dispatch_token) == "forbidden"


def test_dispatch_token_expires_with_its_lease(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.later(31)

    assert code_of(desk.start, lease) == "forbidden"


def test_heartbeat_before_the_start_keeps_the_dispatch_token_alive(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    for _ in range(4):
        desk.later(20)
        desk.heartbeat(lease)

    assert desk.start(lease)


def test_executor_reaches_only_its_own_attempts(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()

    assert code_of(desk.start, lease, REMOTE) == "not_found"
    assert code_of(desk.heartbeat, lease, REMOTE) == "not_found"
    assert code_of(desk.end, lease, who=REMOTE) == "not_found"


def test_limitation_found_at_the_start_fails_a_production_run_by_policy(any_desk: Desk) -> None:
    desk = any_desk
    desk.project()
    run = desk.submit(desk.submission(run_class=RunClass.PRODUCTION, seed=1))
    lease = desk.leased()

    with pytest.raises(DeniedError) as caught:
        desk.start(lease, LOCAL, Limitation.MEMORY_NOT_LIMITED)

    failed = desk.run(run)
    decision = desk.do(VIC, "policy_decisions.read", project="demo", decision=caught.value.extra["decision_id"])
    assert failed.failure is not None
    assert (failed.state, failed.failure.reason) == (RunState.FAILED, FailureReason.POLICY)
    assert "platform/production/isolation" in decision.deciding
    assert decision.action == "run:start"
    assert code_of(desk.start, lease) == "stale_epoch"
    assert desk.read(lambda uow: uow.tokens.find(token_hash(lease.dispatch_token))) is None


def test_execution_that_does_not_exist_is_missing(desk: Desk) -> None:
    desk.submit()
    lease = msgspec.structs.replace(desk.leased(), execution_id=ExecutionId("x"))

    assert code_of(desk.report, lease, EVENTS[0]) == "not_found"
    assert code_of(desk.heartbeat, lease) == "not_found"


def test_run_fetches_its_own_inputs_and_nothing_else_of_the_project(desk: Desk) -> None:
    desk.project()
    version = desk.version()
    other = desk.upload(b"not bound")
    desk.submit(desk.submission(datasets={"train": version.version_id}))
    lease = desk.leased()
    desk.start(lease)

    def fetched(digest: str) -> Any:
        path = {"execution": lease.execution_id, "digest": digest}
        return desk.do(runner_of(lease), "executions.input", **path)

    [wine] = version.files
    assert fetched(wine.digest) == Content(digest=wine.digest, size_bytes=wine.size_bytes, name=wine.path)
    with pytest.raises(MissingError):
        fetched(other.digest)


def test_heartbeat_renews_lease_and_token(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    token = desk.start(lease)
    desk.later(25)

    reply = desk.heartbeat(lease)

    stored = desk.read(lambda uow: uow.tokens.find(token_hash(token)))
    execution = desk.read(lambda uow: uow.executions.get(lease.execution_id))
    assert (reply.lease_seconds, reply.token_expires_in_seconds, reply.cancel) == (30, 300, False)
    assert stored is not None
    assert stored.expires_at == desk.now + desk.limits.run_token
    assert execution is not None
    assert execution.lease_expires_at == desk.now + desk.limits.lease


def test_older_epoch_is_heard_no_more(desk: Desk) -> None:
    desk.submit()
    lease = desk.leased()
    desk.start(lease)
    stale = msgspec.structs.replace(lease, epoch=0)

    assert code_of(desk.heartbeat, stale) == "stale_epoch"
    assert code_of(desk.report, stale, EVENTS[0]) == "stale_epoch"
    assert code_of(desk.end, stale) == "stale_epoch"
