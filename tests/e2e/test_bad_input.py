# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is wrong in itself, or is not for the caller, is refused at the door: one clear problem, and no run."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import uuid4

import httpx
import msgspec
import pytest

from animus_contracts.audit import Action, AuditRecord
from animus_contracts.decoding import decode_json
from animus_contracts.environments import LockEnvironment
from animus_contracts.identifiers import DatasetVersionId, EnvironmentId, LockId
from animus_contracts.parameters import Parameter
from animus_contracts.projects import PutRoleBinding, Role, SubjectType
from animus_contracts.runs import Run
from tests.e2e.bad_input import (
    ARCHIVED,
    FOREIGN,
    LOCK_TEXT,
    NOTEBOOK,
    PROJECT,
    STRANGER,
    VIEWER,
    Works,
    one_line,
    refused,
    the_works,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

MIB = 1 << 20
DENIED = Action.ACCESS_DENIED
GITHUB_TOKEN = "ghp_" + "a1B2" * 9


@pytest.fixture(scope="module", name="works")
def _works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with the_works(tmp_path_factory.mktemp("door"), executes=False) as works:
        yield works


@pytest.fixture(autouse=True)
def _nothing_is_lost(works: Works) -> Iterator[None]:
    yield
    works.check_nothing_is_lost()


def test_a_foreign_project_and_no_project_get_the_same_answer(works: Works) -> None:
    answers = [works.call("runs.submit", works.submission(), project=name) for name in (FOREIGN, "nowhere")]
    problems = [refused(answer, "not_found", "no such project, or you have no role") for answer in answers]
    foreign, missing = (msgspec.structs.replace(problem, request_id="") for problem in problems)
    assert foreign == missing
    assert {name for name in answers[0].headers if name != "X-Request-Id"} == {
        name for name in answers[1].headers if name != "X-Request-Id"
    }
    one_line(works.animus("runs", "--project", FOREIGN), 3, "not_found", "check the name and the project")
    one_line(works.animus("runs", "--project", "nowhere"), 3, "not_found", "check the name and the project")


def test_a_stranger_is_told_nothing_of_the_project(works: Works) -> None:
    refused(works.call("runs.submit", works.submission(), user=STRANGER), "not_found")
    refused(works.call("projects.read", user=STRANGER), "not_found")


def test_a_role_too_low_is_named_with_what_it_lacks(works: Works) -> None:
    problem = refused(works.call("runs.submit", works.submission(), user=VIEWER), "forbidden", "'viewer'", "run:submit")
    assert "administrator" in problem.remedy
    binding = PutRoleBinding(subject_type=SubjectType.USER, subject=VIEWER, role=Role.ADMIN)
    refused(works.call("role_bindings.put", binding), "forbidden", "'editor'", "member:write")
    one_line(works.animus("run", NOTEBOOK, user=VIEWER), 3, "forbidden", "'viewer'", "run:submit", "administrator")


def test_an_archived_project_can_be_read_and_not_written(works: Works) -> None:
    answer = works.call("runs.submit", works.submission(), project=ARCHIVED)
    assert refused(answer, "project_archived", f"'{ARCHIVED}'").remedy
    assert works.call("runs.list", project=ARCHIVED).status_code == httpx.codes.OK
    one_line(
        works.animus("dataset", "add", "more", NOTEBOOK, "--project", ARCHIVED), 3, "project_archived", "unarchive"
    )


@pytest.mark.parametrize("branch", ["main", "HEAD", "refs/heads/main", "abc1234", "A" * 40])
def test_a_branch_is_not_a_commit(works: Works, branch: str) -> None:
    answer = works.call("runs.submit", works.submission(commit=branch))
    refused(answer, "invalid_code_ref", "$.code.commit", repr(branch), "a branch is not a commit", "git rev-parse HEAD")


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"depth": "deep"}, ("$.parameters.depth", "must be of type integer, not str 'deep'")),
        ({"depth": 1.5}, ("$.parameters.depth", "must be of type integer, not float 1.5")),
        ({"depth": True}, ("$.parameters.depth", "must be of type integer, not bool True")),
        ({"rate": None}, ("$.parameters.rate", "must not be null")),
        ({"width": 1}, ("$.parameters.width", "declares no parameter 'width'", "depth")),
    ],
)
def test_a_value_of_the_wrong_type_is_refused_with_its_place(
    works: Works, parameters: dict[str, object], words: tuple[str, ...]
) -> None:
    problem = refused(works.call("runs.submit", works.submission(parameters=parameters)), "parameter_invalid", *words)
    assert len(problem.errors) == 1


@pytest.mark.parametrize(
    "name", ["__builtins__", "import", "a b", "x;import os", "depth\n", "tiefe'", "ｄepth", "", "x" * 300]
)
def test_a_hostile_name_is_never_a_parameter(works: Works, name: str) -> None:
    answer = works.call("runs.submit", works.submission(parameters={name: 1}))
    refused(answer, "parameter_invalid", "$.parameters ", "cannot be a parameter's name", "letters, digits")


def test_a_hostile_name_that_the_submission_itself_declares_is_no_parameter_either(works: Works) -> None:
    declared = works.submission(parameters={"__builtins__": 1}, parameters_schema=[Parameter(name="__builtins__")])
    refused(works.call("runs.submit", declared), "parameter_invalid", "$.parameters_schema.__builtins__")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [("api_key", "x", "credential_name"), ("tokenizer", GITHUB_TOKEN, "vendor_token")],
)
def test_a_credential_is_refused_by_the_name_of_the_rule_and_never_repeated(
    works: Works, name: str, value: str, rule: str
) -> None:
    answer = works.call("runs.submit", works.submission(parameters={name: value}))
    problem = refused(answer, "secret_in_parameters", f"$.parameters.{name}", rule)
    assert problem.remedy
    assert GITHUB_TOKEN not in answer.text
    done = works.animus("run", NOTEBOOK, "-p", f"{name}={value}")
    one_line(done, 2, "secret_in_parameters", name, rule)
    assert GITHUB_TOKEN not in done.stderr


def test_a_count_of_tokens_and_a_tokenizer_are_no_credentials(works: Works) -> None:
    works.submit(works.submission(parameters={"max_tokens": 4096, "tokenizer": "gpt2"}))


def test_what_a_submission_names_must_be_in_the_project(works: Works) -> None:
    gone = uuid4().hex
    answer = works.call("runs.submit", works.submission(datasets={"train": DatasetVersionId(gone)}))
    refused(answer, "dataset_version_not_found", "$.datasets.train", "no such dataset version")
    with works.plant.client(FOREIGN, user=STRANGER) as stranger:
        theirs = stranger.datasets.add("gin", [works.repository.folder / NOTEBOOK]).version_id
    foreign = works.call("runs.submit", works.submission(datasets={"train": theirs}))
    assert {**foreign.json(), "request_id": ""} == {**answer.json(), "request_id": ""}
    answer = works.call("runs.submit", works.submission(environment_lock_id=LockId(gone)))
    refused(answer, "environment_lock_not_found")
    done = works.animus("run", NOTEBOOK, "--dataset", "train=wine@7")
    one_line(done, 3, "dataset_version_not_found", "'wine' has no version 7", "its newest version is wine@1")


def test_a_lock_without_hashes_is_refused_with_its_line(works: Works) -> None:
    for text, words in {
        "ipykernel==7.0.0": ("line 1", "has no --hash"),
        LOCK_TEXT + "\nevil @ https://example.test/evil.whl": ("addresses are not allowed",),
        "--index-url https://example.test\n" + LOCK_TEXT: ("options are not allowed",),
    }.items():
        lock = LockEnvironment(
            environment_id=EnvironmentId(works.lock.environment_id), requirements=text, platform="linux_x86_64"
        )
        answer = works.call("environment_locks.create", lock)
        refused(answer, "invalid_environment_lock", "$.requirements", *words, "--generate-hashes")


def test_a_body_that_is_too_large_or_too_deep_names_the_limit(works: Works) -> None:
    large = works.call("runs.submit", works.submission(labels={"note": "x" * (MIB + 1)}))
    refused(large, "body_too_large", str(MIB))
    deep = b'{"code":' + b"[" * 40 + b"]" * 40 + b"}"
    refused(works.call("runs.submit", deep), "body_too_deep", "32 levels")
    refused(works.call("runs.submit", b"[" * (MIB - 1)), "body_too_deep", "32 levels")


def test_the_same_key_gives_the_same_run_and_never_another_one(works: Works) -> None:
    key, submission = uuid4().hex, works.submission()
    run = works.submit(submission, key=key)
    again = works.call("runs.submit", submission, key=key)
    assert again.is_success
    assert decode_json(again.content, Run).run_id == run.run_id
    other = works.call("runs.submit", works.submission(parameters={"depth": 9}), key=key)
    problem = refused(other, "idempotency_conflict")
    assert problem.detail
    assert problem.remedy


def test_a_notebook_that_is_not_there_is_told_before_anything_is_sent(works: Works) -> None:
    one_line(works.animus("run", "missing.ipynb"), 2, "notebook_not_found", "missing.ipynb")
    one_line(works.animus("run", NOTEBOOK, "-p", "depth=deep"), 2, "parameter_invalid", "'deep'", "depth: integer")
    one_line(works.animus("run", "bare.ipynb", "-p", "depth=3"), 2, "parameter_invalid", "declares no parameters")


def test_a_refusal_is_in_the_audit_log(works: Works) -> None:
    refused(works.call("runs.submit", works.submission(), user=VIEWER), "forbidden")
    with works.plant.client(PROJECT) as admin:
        records = [decode_json(event.record, AuditRecord) for event in admin.audit.list()]
    mine = [record.details for record in records if record.actor == f"user:{VIEWER}" and record.action is DENIED]
    assert mine[-1] == {"operation": "runs.submit", "code": "forbidden", "permission": "run:submit"}
