# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A vocabulary is what the code really says: every word is used somewhere, and nothing is said outside of it."""

from __future__ import annotations

import ast
from collections.abc import Iterable

from tests.architecture.source_trees import Module, SourceTree

ERRORS = frozenset({"AnimusError", "ConflictError", "DeniedError", "InvalidError", "MissingError", "Refused"})


def unused_members(tree: SourceTree, enumeration: str, members: Iterable[str], *packages: str) -> list[str]:
    """Find members of an enumeration that no module outside of the contracts names."""
    used = {
        node.attr
        for module in tree.modules(*packages)
        for node in ast.walk(module.syntax())
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == enumeration
    }
    return [f"{enumeration}.{member} is never used" for member in members if member not in used]


def unused_codes(tree: SourceTree, codes: Iterable[str], *packages: str) -> list[str]:
    """Find error codes that nothing says."""
    said = {text for module in tree.modules(*packages) for text in _texts(module)}
    return [f"{code}: nothing raises it" for code in codes if code not in said]


def unknown_codes(tree: SourceTree, codes: Iterable[str], *packages: str) -> list[str]:
    """Find errors raised with a code that is not in the catalogue."""
    known = set(codes)
    return [
        module.at(node, f"{node.args[0].value!r} is not in the catalogue of error codes")
        for module in tree.modules(*packages)
        for node in ast.walk(module.syntax())
        if isinstance(node, ast.Call)
        and _called(node) in ERRORS
        and node.args
        and isinstance(node.args[0], ast.Constant)
        and node.args[0].value not in known
    ]


def _texts(module: Module) -> Iterable[str]:
    return (
        node.value
        for node in ast.walk(module.syntax())
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


def _called(node: ast.Call) -> str:
    return node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
