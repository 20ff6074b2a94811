# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A submission checked and not made: every fault at once, nothing left behind, the same answer a run would get."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from animus_contracts.answers import AnswerState
from animus_contracts.environments import Resources
from animus_contracts.executions import LeaseRequest
from animus_contracts.identifiers import ArtifactId, DatasetVersionId, LockId
from animus_contracts.inspections import NotebookFindings, UndefinedName
from animus_contracts.parameters import Parameter, ParameterType
from animus_contracts.policies import Effect, PutPolicy
from animus_contracts.preflights import Check, CheckName, CheckState, Preflight
from animus_contracts.quotas import PutQuota
from animus_contracts.runs import CodeRef, Failure, FailureReason, RunClass, SubmitRun
from animus_contracts.tasks import TaskFailed
from animus_control.domain.errors import AnimusError
from animus_control.domain.preflights import is_ready
from tests.unit.control.services.checks import FOUND, answer, leased_task
from tests.unit.control.services.desk import ADA, ED, LOCAL, VIC, Desk

LOOKED_AT = {CheckName.COMMIT, CheckName.NOTEBOOK, CheckName.HIDDEN_STATE}
SECRET = "AKIA" + "Q" * 16
FORBIDDEN = 'forbid (principal, action, resource) when { context.run_class == "development" };'
HIDDEN = UndefinedName(name="df", cell_index=3, cell_id="c", line=2, defined_in=6)


def prepared(desk: Desk, **changes: Any) -> SubmitRun:
    """Make a project with an executor at work, and a submission."""
    desk.project()
    desk.do(LOCAL, "executions.lease", LeaseRequest(wait_seconds=0))
    return desk.submission(**changes)


def check(desk: Desk, message: SubmitRun) -> Preflight:
    made: Preflight = desk.do(ED, "preflights.create", message, project="demo")
    return made


def read(desk: Desk, preflight: Preflight) -> Preflight:
    found: Preflight = desk.do(VIC, "preflights.read", project="demo", preflight=preflight.preflight_id)
    return found


def states(preflight: Preflight) -> dict[CheckName, CheckState]:
    return {each.name: each.state for each in preflight.checks}


def told(preflight: Preflight, name: CheckName) -> Check:
    return next(each for each in preflight.checks if each.name is name)


def test_a_sound_submission_is_ready_when_its_notebook_was_looked_at(any_desk: Desk) -> None:
    desk = any_desk
    message = prepared(desk)

    asked = check(desk, message)

    assert [each.name for each in asked.checks] == list(CheckName)
    assert {name for name, state in states(asked).items() if state is CheckState.PENDING} == LOOKED_AT
    assert (asked.ready, asked.state) == (None, AnswerState.PENDING)
    assert (asked.decision and asked.decision.effect) is Effect.ALLOW
    answer(desk, FOUND)
    ended = read(desk, asked)
    assert set(states(ended).values()) == {CheckState.PASSED}
    assert (ended.ready, ended.state, ended.submission) == (True, AnswerState.ANSWERED, message)


def test_a_preflight_leaves_no_run_no_decision_and_nothing_in_the_queue(desk: Desk) -> None:
    check(desk, prepared(desk))
    answer(desk, FOUND)

    assert desk.lease() is None
    project = desk.read(lambda uow: uow.projects.get("demo"))
    assert project is not None
    pages = desk.read(
        lambda uow: [
            records.page(project.project_id, limit=9, cursor=None).items for records in (uow.runs, uow.policy_decisions)
        ]
    )
    assert pages == [[], []]
    assert [action for action in desk.actions() if action.startswith(("run.", "policy"))] == []
    assert desk.actions()[-1] == "preflight.ended"


def test_every_fault_is_told_at_once(desk: Desk) -> None:
    desk.project()
    desk.do(ADA, "policies.put", PutPolicy(name="strict", cedar=FORBIDDEN), project="demo")
    message = desk.submission(
        code=CodeRef(repository="ftp://x/y", commit="main", path="../train.py"),
        parameters={"depth": "deep"},
        parameters_schema=[Parameter(name="depth", type=ParameterType.INTEGER)],
        datasets={"train": DatasetVersionId("nowhere")},
        artifacts={"model": ArtifactId("nowhere")},
        resources=Resources(cpus=900.0),
        labels={f"l{number}": "" for number in range(65)},
    )

    found = check(desk, message)

    assert {name for name, state in states(found).items() if state is not CheckState.FAILED} == {
        CheckName.ENVIRONMENT, CheckName.QUOTA,
    }  # fmt: skip
    assert (found.ready, found.state, found.inspection_id) == (False, AnswerState.ANSWERED, None)
    datasets, submission = told(found, CheckName.DATASETS).detail, told(found, CheckName.SUBMISSION).detail
    assert "$.datasets.train" in datasets
    assert "$.artifacts.model" in datasets
    assert all(place in submission for place in ("$.code.repository", "$.code.commit", "$.code.path", "$.labels"))
    assert found.decision is not None
    assert found.decision.deciding == ["project/strict/1"]
    assert leased_task(desk) is None


def test_a_lock_that_is_not_there_leaves_the_rest_to_be_told(desk: Desk) -> None:
    message = msgspec.structs.replace(prepared(desk), environment_lock_id=LockId("nowhere"))

    found = check(desk, message)

    failed = {name for name, state in states(found).items() if state is CheckState.FAILED}
    assert failed == {
        CheckName.ENVIRONMENT, CheckName.RESOURCES, CheckName.POLICY, CheckName.QUOTA, CheckName.EXECUTOR,
    }  # fmt: skip


def test_a_credential_among_the_parameters_is_refused_and_never_stored(desk: Desk) -> None:
    schema = [Parameter(name="key", type=ParameterType.INTEGER)]
    message = prepared(desk, parameters={"key": SECRET, "depth": 4}, parameters_schema=schema)

    found = check(desk, message)

    assert told(found, CheckName.PARAMETERS).state is CheckState.FAILED
    assert found.submission.parameters == {"depth": 4}
    stored = msgspec.json.encode(read(desk, found)) + msgspec.json.encode(desk.audit())
    assert SECRET.encode() not in stored


@pytest.mark.parametrize(
    ("run_class", "state"), [(RunClass.DEVELOPMENT, CheckState.WARNING), (RunClass.PRODUCTION, CheckState.FAILED)]
)
def test_hidden_state_warns_in_development_and_fails_in_production(
    desk: Desk, run_class: RunClass, state: CheckState
) -> None:
    asked = check(desk, prepared(desk, run_class=run_class, seed=1))

    answer(desk, msgspec.structs.replace(FOUND, undefined_names=[HIDDEN]))

    hidden = told(read(desk, asked), CheckName.HIDDEN_STATE)
    assert hidden.state is state
    assert hidden.detail == "cell 4, line 2: 'df' is defined only in cell 7, below"


@pytest.mark.parametrize(
    ("findings", "failed"),
    [
        (NotebookFindings(problem=Failure(reason=FailureReason.INPUT, summary="No such commit.")), LOOKED_AT),
        (
            NotebookFindings(
                commit="0a" * 20, tree="1b" * 20, problem=Failure(reason=FailureReason.INPUT, summary="No notebook.")
            ),
            {CheckName.NOTEBOOK, CheckName.HIDDEN_STATE},
        ),
        (TaskFailed(reason="no disk", is_final=True), LOOKED_AT),
        (
            msgspec.structs.replace(FOUND, parameters=[Parameter(name="new", type=ParameterType.STRING)]),
            {CheckName.PARAMETERS},
        ),
    ],
    ids=["no commit", "no notebook", "nobody could look", "other parameters"],
)
def test_what_is_wrong_in_the_repository_fails_the_checks_it_belongs_to(
    desk: Desk, findings: Any, failed: set[CheckName]
) -> None:
    asked = check(desk, prepared(desk))

    answer(desk, findings)

    ended = read(desk, asked)
    assert {name for name, state in states(ended).items() if state is CheckState.FAILED} == failed
    assert (ended.ready, ended.state) == (False, AnswerState.ANSWERED)


def test_without_an_executor_a_submission_is_not_ready(desk: Desk) -> None:
    desk.project()
    executor = told(check(desk, desk.submission()), CheckName.EXECUTOR)
    assert (executor.state, executor.detail) == (CheckState.FAILED, "No executor has asked for work lately.")


def test_a_quota_that_is_used_up_is_a_warning_and_a_priority_above_it_a_failure(desk: Desk) -> None:
    message = prepared(desk)
    desk.do(ADA, "quotas.put", PutQuota(concurrent_runs=0, max_priority=5), project="demo")

    waiting = told(check(desk, message), CheckName.QUOTA)
    refused = told(check(desk, msgspec.structs.replace(message, priority=6)), CheckName.QUOTA)

    assert (waiting.state, refused.state) == (CheckState.WARNING, CheckState.FAILED)
    assert waiting.detail.startswith("It would wait: ")


def test_a_viewer_may_read_checks_and_not_ask_for_them(desk: Desk) -> None:
    message = prepared(desk)
    with pytest.raises(AnimusError) as refused:
        desk.do(VIC, "preflights.create", message, project="demo")
    assert refused.value.code == "forbidden"


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([], True),
        ([CheckState.PASSED, CheckState.WARNING], True),
        ([CheckState.PASSED, CheckState.FAILED], False),
        ([CheckState.FAILED, CheckState.PENDING], None),
    ],
)
def test_only_a_failure_keeps_from_being_ready_and_nothing_is_known_before_the_end(
    given: list[CheckState], expected: bool | None
) -> None:
    assert is_ready([Check(name=CheckName.COMMIT, state=state) for state in given]) is expected
