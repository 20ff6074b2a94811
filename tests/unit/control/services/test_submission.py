# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Submitting a run: what it is bound to, what refuses it, and what a refusal leaves behind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from animus_contracts.audit import Outcome
from animus_contracts.environments import Resources
from animus_contracts.identifiers import DatasetVersionId, LockId
from animus_contracts.pages import RunListQuery
from animus_contracts.parameters import Parameter, ParameterType, schema_digest
from animus_contracts.plans import plan_digest
from animus_contracts.policies import Effect, PolicyState, PutPolicy
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import CodeRef, Limitation, RunClass, RunState, SubmitRun, inputs_hash, spec_hash
from animus_control.domain.errors import AnimusError, DeniedError
from animus_control.services import catalogue
from animus_control.services.calls import Call
from animus_control.services.ports import UnitOfWork
from tests.unit.control.services.desk import ADA, ED, VIC, Desk

FREEZE = '@id("freeze") @reason("change freeze") forbid (principal, action, resource);'


def test_run_is_queued_and_bound_to_exactly_what_was_asked(any_desk: Desk) -> None:
    desk = any_desk
    project = desk.project()
    version = desk.version()
    message = desk.submission(
        datasets={"train": version.version_id}, parameters={"depth": 2**70, "rate": 1.0}, seed=7, outputs=["model.bin"],
        parameters_schema=[Parameter(name="depth", type=ParameterType.INTEGER), Parameter(name="rate")],
    )  # fmt: skip

    run = desk.submit(message)

    lock = desk.do(VIC, "environment_locks.read", project="demo", lock=message.environment_lock_id)
    plan = desk.read(lambda uow: uow.runs.plan(run.project_id, run.run_id))
    inputs = inputs_hash(
        code=message.code, env_hash=lock.env_hash, parameters=message.parameters, resources=lock.limits, seed=7,
        inputs={binding.name: binding.content_digest for binding in run.datasets},
    )  # fmt: skip
    assert desk.run(run) == run
    assert (run.state, run.version, run.created_by, run.project_id) == ("queued", 1, "user:ed", project.project_id)
    assert [(item.name, item.dataset, item.ordinal) for item in run.datasets] == [("train", "wine", 1)]
    assert run.parameters == {"depth": 2**70, "rate": 1.0}
    assert run.inputs_hash == inputs
    assert run.spec_hash == spec_hash(
        inputs=inputs, policy_snapshot=run.policy_snapshot_digest, run_class=RunClass.DEVELOPMENT
    )
    assert run.plan_digest == plan_digest(plan)
    assert run.parameters_schema_digest == schema_digest(message.parameters_schema)
    assert (plan.environment.requirements, plan.inputs[0].files) == (lock.requirements, version.files)


def test_submission_is_one_audit_event_without_any_parameter_value(any_desk: Desk) -> None:
    desk = any_desk
    desk.project()
    schema = [Parameter(name="depth", type=ParameterType.INTEGER)]
    message = desk.submission(parameters={"depth": 471147}, parameters_schema=schema)
    before = len(desk.audit())

    run = desk.submit(message)

    snapshot, record = desk.audit()[before:]
    assert snapshot.action == "policy.snapshot.materialized"
    assert (record.action, record.resource) == ("run.created", f"run:{run.run_id}")
    assert record.details["effect"] == "allow"
    assert record.details["plan_digest"] == run.plan_digest
    assert "471147" not in msgspec.json.encode(record.details).decode()


def test_equal_policies_share_one_snapshot(desk: Desk) -> None:
    desk.project()
    message = desk.submission()

    first, second = desk.submit(message), desk.submit(message)
    desk.do(ADA, "policies.put", PutPolicy(name="mine", cedar=FREEZE, state=PolicyState.DISABLED), project="demo")
    third = desk.submit(message)

    assert first.policy_snapshot_id == second.policy_snapshot_id == third.policy_snapshot_id
    assert desk.actions().count("policy.snapshot.materialized") == 1


def test_two_people_prove_equal_inputs_by_equal_hashes(desk: Desk) -> None:
    desk.project()
    message = desk.submission()

    mine, hers = desk.submit(message), desk.submit(message, ADA)

    assert (mine.inputs_hash, mine.spec_hash) == (hers.inputs_hash, hers.spec_hash)
    assert mine.plan_digest != hers.plan_digest


@pytest.mark.parametrize("field", ["seed", "parameters", "code", "resources"])
def test_hash_changes_with_every_input(desk: Desk, field: str) -> None:
    desk.project()
    message = desk.submission(parameters={"a": 1}, parameters_schema=[Parameter(name="a")])
    other: dict[str, Any] = {
        "seed": 1,
        "parameters": {"a": 1.0},
        "code": msgspec.structs.replace(message.code, commit="1" * 40),
        "resources": Resources(cpus=0.5),
    }

    first, second = desk.submit(message), desk.submit(msgspec.structs.replace(message, **{field: other[field]}))

    assert first.inputs_hash != second.inputs_hash


def test_run_without_seed_carries_that_limitation(desk: Desk) -> None:
    desk.project()

    assert desk.submit(desk.submission()).limitations == [Limitation.SEED_NOT_SET]
    assert desk.submit(desk.submission(seed=0)).limitations == []


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"environment_lock_id": LockId("x")}, "environment_lock_not_found"),
        ({"datasets": {"train": DatasetVersionId("x")}}, "dataset_version_not_found"),
        ({"resources": Resources(memory_mib=4096)}, "resource_limit_exceeded"),
        ({"code": CodeRef(repository="file:///a", commit="main", path="a.ipynb")}, "invalid_code_ref"),
        ({"parameters": {"a": 1}}, "parameter_invalid"),
        ({"parameters": {"password": "hunter2"}}, "secret_in_parameters"),
    ],
)
def test_unsound_submission_leaves_nothing(desk: Desk, changes: dict[str, Any], code: str) -> None:
    desk.project()
    message = msgspec.structs.replace(desk.submission(), **changes)
    before = desk.audit()

    with pytest.raises(AnimusError) as caught:
        desk.submit(message)

    assert caught.value.code == code
    assert desk.audit() == before
    assert desk.do(VIC, "runs.list", RunListQuery(), project="demo").items == []


def test_dataset_version_of_another_project_is_unknown_here(desk: Desk) -> None:
    desk.project("alpha")
    foreign = desk.version(project="alpha")
    desk.project()
    message = desk.submission(datasets={"train": foreign.version_id})

    with pytest.raises(AnimusError) as caught:
        desk.submit(message)

    assert caught.value.code == "dataset_version_not_found"
    assert [fault.path for fault in caught.value.faults] == ["$.datasets.train"]


def test_dirty_production_run_is_refused_and_the_decision_kept(any_desk: Desk) -> None:
    desk = any_desk
    project = desk.project()
    message = desk.submission(run_class=RunClass.PRODUCTION, seed=1, limitations=[Limitation.DIRTY_WORKTREE])

    with pytest.raises(DeniedError) as caught:
        desk.submit(message)

    error = caught.value
    decision = desk.do(VIC, "policy_decisions.read", project="demo", decision=error.extra["decision_id"])
    record = desk.audit(project.project_id)[-1]
    assert (error.code, error.extra["missing"]) == ("policy_denied", ["commit"])
    assert error.extra["deciding"] == decision.deciding
    assert [text["name"] for text in error.extra["policies"]] == ["production"]
    assert "committed code only" in error.detail
    assert (decision.effect, decision.reason) == (Effect.DENY, error.detail)
    assert (record.action, record.outcome, record.details["effect"]) == ("run.refused", Outcome.DENIED, "deny")
    assert desk.do(VIC, "runs.list", RunListQuery(), project="demo").items == []
    assert (
        desk.do(VIC, "policy_snapshots.read", project="demo", snapshot=decision.snapshot_id).digest
        == (error.extra["snapshot"])
    )


def test_second_refusal_shares_the_snapshot_of_the_first(desk: Desk) -> None:
    desk.project()
    message = desk.submission(run_class=RunClass.PRODUCTION)
    for _ in range(2):
        with pytest.raises(DeniedError):
            desk.submit(message)

    assert desk.actions().count("policy.snapshot.materialized") == 1
    assert desk.actions().count("run.refused") == 2


def test_project_policy_holds_from_its_commit_on(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    first = desk.submit(message)
    desk.do(ADA, "policies.put", PutPolicy(name="freeze", cedar=FREEZE), project="demo")

    with pytest.raises(DeniedError) as caught:
        desk.submit(message)

    assert caught.value.extra["deciding"] == ["project/freeze/freeze"]
    desk.do(ADA, "policies.put", PutPolicy(name="freeze", cedar=FREEZE, state=PolicyState.DISABLED), project="demo")
    assert desk.submit(message).policy_snapshot_id == first.policy_snapshot_id


def test_project_policy_cannot_allow_what_the_platform_forbids(desk: Desk) -> None:
    desk.project()
    permit = "permit (principal, action, resource);"
    desk.do(ADA, "policies.put", PutPolicy(name="all", cedar=permit), project="demo")

    with pytest.raises(DeniedError):
        desk.submit(desk.submission(run_class=RunClass.PRODUCTION))


def test_role_taken_away_takes_effect_with_the_next_submission(desk: Desk) -> None:
    desk.project()
    message = desk.submission()
    desk.submit(message)
    demoted = PutRoleBinding(subject_type=SubjectType.USER, subject="ed", role=Role.VIEWER)
    desk.do(ADA, "role_bindings.put", demoted, project="demo")

    with pytest.raises(DeniedError):
        desk.submit(message)


def test_token_for_reading_submits_nothing_whatever_its_owner_may(desk: Desk) -> None:
    desk.project()
    message = desk.submission()

    with pytest.raises(DeniedError):
        desk.submit(message, replace(ED, ceiling={"*": Role.VIEWER}))


def test_submission_that_cannot_be_stored_leaves_nothing(desk: Desk) -> None:

    desk.project()
    message, before = desk.submission(), desk.audit()
    call = desk.call(ED)

    def submit_and_fail(uow: UnitOfWork) -> None:
        project = uow.projects.get("demo")
        inside: Call = replace(call, project=project, role=Role.EDITOR)
        catalogue.OPERATIONS["runs.submit"](uow, inside, message)
        raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        desk.write(submit_and_fail)

    assert desk.audit() == before
    assert desk.do(VIC, "runs.list", RunListQuery(), project="demo").items == []


def test_runs_are_listed_by_state_and_person(desk: Desk) -> None:
    desk.project()
    message: SubmitRun = desk.submission()
    mine, hers = desk.submit(message), desk.submit(message, ADA)
    desk.leased()

    def listed(**filters: Any) -> list[str]:
        return [run.run_id for run in desk.do(VIC, "runs.list", RunListQuery(**filters), project="demo").items]

    assert listed() == [hers.run_id, mine.run_id]
    assert listed(state=RunState.QUEUED) == [hers.run_id]
    assert listed(created_by="user:ed") == [mine.run_id]
    assert listed(state=RunState.QUEUED, created_by="user:ed") == []


def test_a_submission_wakes_only_executors_of_its_platform(desk: Desk) -> None:
    heard: list[str] = []
    desk.project()
    submission = desk.submission()
    stop = desk.database.subscribe(heard.append)

    desk.submit(submission)

    stop()
    assert [channel for channel in heard if channel.startswith("queue")] == ["queue:linux_x86_64"]
