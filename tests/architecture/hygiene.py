# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Sizes, licence headers, names that say nothing, and words that must not leave the machine they were written on."""

from __future__ import annotations

import ast
import re

from tests.architecture.source_trees import SPDX, SourceTree

MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
EMPTY_NAMES = frozenset({"base", "common", "helper", "helpers", "manager", "misc", "util", "utils"})
SOURCES = (".py", ".sh", ".ts", ".tsx", ".js", ".css", ".cedar", ".toml")
WITH_HEADER = (".py", ".sh", ".cedar")

# Written so that the patterns do not match their own text.
LEAKS = {
    "package registry": r"(?:pypi|pythonhosted|npmjs|anaconda|crates|rubygems)[.](?:org|com|io)\b",
    "path of one machine": r"(?<![\w.-])/(?:root|home/\w+|Users/\w+)/",
}


def oversized(tree: SourceTree) -> list[str]:
    """Find files and functions past their limit."""
    faults = []
    for module in tree.modules():
        lines = module.text.count("\n")
        if lines > MAX_FILE_LINES:
            faults.append(f"{module.place}: {lines} lines, at most {MAX_FILE_LINES}")
        faults.extend(
            module.at(node, f"{node.name} has {length} lines, at most {MAX_FUNCTION_LINES}")
            for node in ast.walk(module.syntax())
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            if (length := (node.end_lineno or node.lineno) - node.lineno + 1) > MAX_FUNCTION_LINES
        )
    return faults


def empty_names(tree: SourceTree) -> list[str]:
    """Find modules whose name does not name a subject."""
    return [
        f"{module.place}: name the subject of the file"
        for module in tree.modules()
        if module.name.rpartition(".")[2].strip("_") in EMPTY_NAMES
    ]


def missing_headers(tree: SourceTree) -> list[str]:
    """Find source files without the two SPDX lines at the top (below a hash-bang, where there is one)."""
    faults = []
    for place, path in tree.files():
        if place.endswith(WITH_HEADER):
            text = path.read_text(encoding="utf-8")
            if text.startswith("#!"):
                text = text.partition("\n")[2]
            if not text.startswith((SPDX, SPDX.replace("# ", "// "))):
                faults.append(f"{place}: does not start with the SPDX lines")
    return faults


def missing_docstrings(tree: SourceTree) -> list[str]:
    """Find modules whose first words do not say which rules they keep."""
    return [
        f"{m.place}: has no docstring" for m in tree.modules() if m.text.strip() and not ast.get_docstring(m.syntax())
    ]


def leaks(tree: SourceTree) -> list[str]:
    """Find words in published files that belong to one machine or to one registry."""
    faults = []
    for place, path in tree.files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        faults += [
            f"{place}:{text.count(chr(10), 0, found.start()) + 1}: {what}: {found.group()}"
            for what, pattern in LEAKS.items()
            for found in re.finditer(pattern, text)
        ]
    return faults
