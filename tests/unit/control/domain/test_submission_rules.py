# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a submission may say: each wrong one is refused with the code, the place and the rule."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from animus_contracts.environments import Resources
from animus_contracts.identifiers import DatasetVersionId, LockId
from animus_contracts.parameters import Parameter, ParameterType
from animus_contracts.runs import CodeRef, SubmitRun
from animus_control.domain.errors import InvalidError
from animus_control.domain.limits import Limits
from animus_control.domain.runs import check_submission, scheme_of

LIMITS = Limits(repository_schemes=frozenset({"https", "ssh", "file"}))
GOOD = SubmitRun(
    code=CodeRef(repository="https://git.example.org/a.git", commit="0a" * 20, path="notebooks/train.ipynb"),
    environment_lock_id=LockId("lock"),
    parameters_schema=[Parameter(name="depth", type=ParameterType.INTEGER)],
)


def refused(**changes: Any) -> tuple[str, str, str]:
    """Return code of the error and path and code of its only fault."""
    with pytest.raises(InvalidError) as caught:
        check_submission(msgspec.structs.replace(GOOD, **changes), LIMITS)
    (fault,) = caught.value.faults
    return caught.value.code, fault.path, fault.code


def with_code(**changes: str) -> dict[str, CodeRef]:
    return {"code": msgspec.structs.replace(GOOD.code, **changes)}


def test_sound_submission_is_accepted() -> None:
    check_submission(
        msgspec.structs.replace(
            GOOD,
            datasets={"train": DatasetVersionId("v")},
            parameters={"depth": 4},
            outputs=["model.bin", "plots/roc.png"],
            resources=Resources(cpus=0.5),
            seed=0,
            labels={"team": "a"},
        ),
        LIMITS,
    )


@pytest.mark.parametrize(
    "commit", ["main", "HEAD", "v1.0", "0a" * 19, "0A" * 20, "0a" * 20 + "\n", "0a" * 32, "\u0660" * 40, ""]
)
def test_only_a_full_commit_id_is_a_commit(commit: str) -> None:
    assert refused(**with_code(commit=commit)) == ("invalid_code_ref", "$.code.commit", "not_a_commit")


def test_refused_branch_is_called_a_branch_and_the_remedy_gives_the_commit() -> None:
    with pytest.raises(InvalidError) as caught:
        check_submission(msgspec.structs.replace(GOOD, **with_code(commit="main")), LIMITS)

    assert "a branch is not a commit" in caught.value.detail
    assert "git rev-parse HEAD" in caught.value.remedy


@pytest.mark.parametrize(
    "path",
    ["", "/a.ipynb", "../a.ipynb", "a/../b.ipynb", "./a.ipynb", "a//b.ipynb", "a\\b.ipynb", "c:/a.ipynb", "a\x00.ipynb",
     "a.py", "a\u202e.ipynb", "a/" * 300 + "b.ipynb", "a.ipynb/", "a.ipynb\n"],
)  # fmt: skip
def test_notebook_path_stays_inside_the_repository(path: str) -> None:
    assert refused(**with_code(path=path)) == ("invalid_code_ref", "$.code.path", "invalid_path")


@pytest.mark.parametrize(
    ("repository", "scheme"),
    [
        ("https://git.example.org/a.git", "https"),
        ("https://git.example.org:8443/group/a.git", "https"),
        ("ssh://git@git.example.org/a.git", "ssh"),
        ("git@git.example.org:group/a.git", "ssh"),
        ("file:///srv/a.git", "file"),
    ],
)
def test_repository_is_reached_by_its_scheme(repository: str, scheme: str) -> None:
    assert scheme_of(repository) == scheme
    check_submission(msgspec.structs.replace(GOOD, **with_code(repository=repository)), LIMITS)


@pytest.mark.parametrize(
    "repository",
    ["", "a.git", "/srv/a.git", "http://git.example.org/a.git", "https://ann:secret@git.example.org/a.git",
     "https://token@git.example.org/a.git", "ext::sh -c true", "ext::https://x/y", "--upload-pack=touch x", "-u",
     "file://host/srv/a.git", "git@-oProxyCommand=x:a.git", "ssh://-oProxyCommand=x/a.git", "https:///a.git",
     "https://git.example.org/a.git?x=1", "https://git.example.org/a.git#x", "https://git.example.org/a b.git",
     "https://git.example.org/\n", "git@host:/absolute", "https://git.example.org/" + "a" * 5000],
)  # fmt: skip
def test_anything_else_is_no_repository(repository: str) -> None:
    assert refused(**with_code(repository=repository)) == (
        "invalid_code_ref", "$.code.repository", "invalid_repository",
    )  # fmt: skip


def test_file_repository_needs_the_installations_consent() -> None:
    submission = msgspec.structs.replace(GOOD, **with_code(repository="file:///srv/a.git"))

    with pytest.raises(InvalidError, match="reached by one of: https"):
        check_submission(submission, Limits())


def test_credential_is_refused_by_its_rule_and_never_repeated() -> None:
    secret = "AKIA" + "A" * 16
    submission = msgspec.structs.replace(GOOD, parameters={"depth": f"x {secret}"})

    with pytest.raises(InvalidError) as caught:
        check_submission(submission, LIMITS)

    error = caught.value
    assert error.code == "secret_in_parameters"
    assert [(fault.path, fault.code) for fault in error.faults] == [("$.parameters.depth", "aws_access_key_id")]
    assert secret not in f"{error} {error.detail} {error.remedy} {error.faults} {error.extra}"


def test_every_credential_is_named_at_once() -> None:
    with pytest.raises(InvalidError) as caught:
        check_submission(msgspec.structs.replace(GOOD, parameters={"password": "x", "api_key": "y"}), LIMITS)

    assert {fault.path for fault in caught.value.faults} == {"$.parameters.password", "$.parameters.api_key"}


@pytest.mark.parametrize("name", ["max_tokens", "tokenizer", "token_count", "passwords_seen"])
def test_words_about_tokens_are_no_credentials(name: str) -> None:
    schema = [Parameter(name=name)]

    check_submission(msgspec.structs.replace(GOOD, parameters={name: "4096"}, parameters_schema=schema), LIMITS)


@pytest.mark.parametrize(
    ("parameters", "path", "code"),
    [
        ({"depth": 4.0}, "$.parameters.depth", "wrong_value"),
        ({"depth": True}, "$.parameters.depth", "wrong_value"),
        ({"width": 1}, "$.parameters.width", "undeclared"),
        ({"__import__": 1}, "$.parameters", "invalid_name"),
        ({"a = 1; import os": 1}, "$.parameters", "invalid_name"),
        ({"class": 1}, "$.parameters", "invalid_name"),
    ],
)
def test_parameter_that_does_not_fit_is_refused(parameters: dict[str, Any], path: str, code: str) -> None:
    assert refused(parameters=parameters) == ("parameter_invalid", path, code)


@pytest.mark.parametrize(
    ("changes", "path", "code"),
    [
        ({"datasets": {"a b": "v"}}, "$.datasets", "invalid_name"),
        ({"datasets": {"../x": "v"}}, "$.datasets", "invalid_name"),
        ({"datasets": {f"d{n}": "v" for n in range(65)}}, "$.datasets", "too_many"),
        ({"outputs": ["../model"]}, "$.outputs[0]", "invalid_path"),
        ({"outputs": ["a", "a"]}, "$.outputs", "duplicate_name"),
        ({"seed": -1}, "$.seed", "out_of_range"),
        ({"seed": 2**32}, "$.seed", "out_of_range"),
        ({"labels": {"": "x"}}, "$.labels", "invalid_label"),
        ({"labels": {f"l{n}": "" for n in range(65)}}, "$.labels", "too_many"),
        ({"labels": {"x": "y" * 257}}, "$.labels", "invalid_label"),
        ({"resources": Resources(memory_mib=0)}, "$.resources.memory_mib", "out_of_range"),
        ({"resources": Resources(cpus=-1.0)}, "$.resources.cpus", "out_of_range"),
        ({"resources": Resources(cpus=float("nan"))}, "$.resources.cpus", "out_of_range"),
    ],
)
def test_misshapen_submission_is_refused(changes: dict[str, Any], path: str, code: str) -> None:
    assert refused(**changes) == ("invalid_request", path, code)
