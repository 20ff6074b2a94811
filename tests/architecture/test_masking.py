# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A value that holds a credential does not show it when it is printed or logged."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.architecture.source_trees import THIS_PROJECT, Module, SourceTree, planted

CREDENTIALS = frozenset(
    {"cookie_secret", "dispatch_token", "hub_api_token", "password", "run_token", "secret", "token"}
)


def shown_credentials(tree: SourceTree) -> list[str]:
    """Find fields of values that hold a credential and would appear in the value's ``repr``."""
    return [
        module.at(field, f"{kind.name}.{field.target.id} shows its credential: field(repr=False), or a __repr__")
        for module in tree.modules()
        for kind, field in _fields(module)
        if isinstance(field.target, ast.Name) and field.target.id in CREDENTIALS
        if {"bytes", "str"} & {node.id for node in ast.walk(field.annotation) if isinstance(node, ast.Name)}
        if not _is_hidden(field) and not _has_own_repr(kind)
    ]


def _fields(module: Module) -> list[tuple[ast.ClassDef, ast.AnnAssign]]:
    classes = (node for node in ast.walk(module.syntax()) if isinstance(node, ast.ClassDef))
    return [(kind, field) for kind in classes for field in kind.body if isinstance(field, ast.AnnAssign)]


def _is_hidden(field: ast.AnnAssign) -> bool:
    return isinstance(field.value, ast.Call) and any(
        keyword.arg == "repr" and isinstance(keyword.value, ast.Constant) and keyword.value.value is False
        for keyword in field.value.keywords
    )


def _has_own_repr(kind: ast.ClassDef) -> bool:
    return any(isinstance(member, ast.FunctionDef) and member.name == "__repr__" for member in kind.body)


def test_no_value_shows_a_credential() -> None:
    assert shown_credentials(THIS_PROJECT) == []


@pytest.mark.parametrize("field", ["token: str", 'password: str = ""', "run_token: str = field(kw_only=True)"])
def test_shown_credential_is_noticed(tmp_path: Path, field: str) -> None:
    tree = planted(tmp_path, {"kernels/animus_executor/planted.py": f"class Planted:\n    {field}\n"})

    assert len(shown_credentials(tree)) == 1


@pytest.mark.parametrize(
    "body", ["token: str = field(repr=False)", "token: str\n    def __repr__(self): ...", "token_id: str"]
)
def test_hidden_credential_is_left_alone(tmp_path: Path, body: str) -> None:
    tree = planted(tmp_path, {"kernels/animus_executor/planted.py": f"class Planted:\n    {body}\n"})

    assert shown_credentials(tree) == []
