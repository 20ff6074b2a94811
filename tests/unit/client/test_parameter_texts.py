# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is typed as a parameter becomes what the notebook declares, or is refused in words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from animus import notebooks
from animus.errors import UsageError
from animus_contracts.parameters import Parameter, ParameterType

kind = ParameterType


@pytest.mark.parametrize(
    ("parameter", "text", "value"),
    [
        (Parameter(name="p", type=kind.INTEGER), "4", 4),
        (Parameter(name="p", type=kind.INTEGER), "-12345678901234567890", -12345678901234567890),
        (Parameter(name="p", type=kind.NUMBER), "1", 1.0),
        (Parameter(name="p", type=kind.NUMBER), "1e-3", 0.001),
        (Parameter(name="p", type=kind.STRING), "4", "4"),
        (Parameter(name="p", type=kind.STRING), "null", "null"),
        (Parameter(name="p", type=kind.STRING), "", ""),
        (Parameter(name="p", type=kind.STRING, nullable=True), "None", None),
        (Parameter(name="p", type=kind.BOOLEAN), "True", True),
        (Parameter(name="p", type=kind.BOOLEAN), "off", False),
        (Parameter(name="p", type=kind.ARRAY), "[1, 2.5]", [1, 2.5]),
        (Parameter(name="p", type=kind.OBJECT), '{"a": null}', {"a": None}),
        (Parameter(name="p", type=kind.ANY), "3", 3),
        (Parameter(name="p", type=kind.ANY), "three", "three"),
        (Parameter(name="p", type=kind.STRING, choices=["gini", "entropy"]), "gini", "gini"),
        (Parameter(name="p", type=kind.INTEGER, choices=[1, 2]), "2", 2),
    ],
    ids=repr,
)
def test_a_text_becomes_a_value_of_the_declared_type(parameter: Parameter, text: str, value: Any) -> None:
    values = notebooks.typed_values([parameter], [f"p={text}"])
    assert values == {"p": value}
    assert type(values["p"]) is type(value)


@pytest.mark.parametrize(
    ("parameter", "assignment", "said"),
    [
        (Parameter(name="p", type=kind.INTEGER), "p=4.0", "p must be of type integer, not str '4.0'"),
        (Parameter(name="p", type=kind.INTEGER), "p=", "p must be of type integer"),
        (Parameter(name="p", type=kind.NUMBER), "p=nan", "p must be finite"),
        (Parameter(name="p", type=kind.BOOLEAN), "p=maybe", "p must be of type boolean"),
        (Parameter(name="p", type=kind.ARRAY), "p={}", "p must be of type array"),
        (Parameter(name="p", type=kind.INTEGER, maximum=3), "p=4", "p must be at most 3"),
        (Parameter(name="p", type=kind.STRING, choices=["a"]), "p=b", "p must be one of 'a'"),
        (Parameter(name="p"), "q=1", "the notebook declares no parameter 'q'"),
        (Parameter(name="p"), "p", "'p' is not NAME=VALUE"),
        (Parameter(name="p"), "__import__('os')=1", "cannot be a parameter's name"),
        (Parameter(name="p", required=True), "p=1", ""),
        (Parameter(name="api_key", type=kind.STRING), "api_key=abcdef", "looks like a credential"),
        (Parameter(name="p", type=kind.STRING), "p=AKIAABCDEFGHIJKLMNOP", "looks like a credential"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_in_one_line(parameter: Parameter, assignment: str, said: str) -> None:
    if not said:
        notebooks.typed_values([parameter], [assignment])
        assignment, said = "", "p is required"
    with pytest.raises(UsageError) as caught:
        notebooks.typed_values([parameter], [assignment] if assignment else [])
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert "AKIA" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"cells": 1}', b"\xff", b"{" * 100_000])
def test_what_is_no_notebook_is_refused_in_one_line(content: bytes) -> None:
    with pytest.raises(UsageError, match="bad_notebook"):
        notebooks.decode(content)


def test_the_notebook_being_edited_is_found_by_its_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "n.ipynb").write_text(json.dumps({"cells": []}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("JPY_SESSION_NAME", "somewhere/n.ipynb")
    assert notebooks.current() == Path("n.ipynb")
    monkeypatch.setenv("JPY_SESSION_NAME", str(tmp_path / "n.ipynb"))
    assert notebooks.current() == tmp_path / "n.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", "console-1")
    with pytest.raises(UsageError, match="which_notebook"):
        notebooks.current()
