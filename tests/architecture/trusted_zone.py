# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What no module of the trusted zone may import or call, read from the syntax tree alone."""

from __future__ import annotations

import ast
from collections.abc import Iterator

from tests.architecture.source_trees import TRUSTED, Module, SourceTree

RUNTIMES = frozenset(
    {
        "IPython", "cloudpickle", "dill", "ipykernel", "joblib", "jupyter_client", "kubernetes", "nbclient",
        "nbconvert", "nbformat", "papermill",
    }
)  # fmt: skip
"""Libraries that run, open or unpickle user content: never imported, and never loaded by anything we import."""

LOADERS = frozenset({"code", "codeop", "marshal", "pickle", "runpy", "shelve", "subprocess", "tarfile", "zipfile"})
"""Parts of the standard library that do the same. Our dependencies load some of them for their own ends, so they are
banned as imports of ours only."""

CALLS = frozenset({"__import__", "breakpoint", "compile", "eval", "exec"})
MODULE_CALLS = {
    "builtins": CALLS,
    "importlib": {"import_module", "__import__"},
    "os": {"fork", "forkpty", "popen", "posix_spawn", "posix_spawnp", "system", "startfile"},
    "pty": {"spawn", "fork"},
}


def imports_of(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield every absolute import in a module, wherever it stands, with the dotted name imported."""
    for node in ast.walk(module.syntax()):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node, node.module


def forbidden_imports(tree: SourceTree) -> list[str]:
    """Find imports of what runs or opens user content, at any depth of nesting."""
    return [
        module.at(node, f"the trusted zone imports {name}")
        for module in tree.modules(*TRUSTED)
        for node, name in imports_of(module)
        if name.partition(".")[0] in RUNTIMES | LOADERS
    ]


def dynamic_code(tree: SourceTree) -> list[str]:
    """Find calls that make code out of data or a process out of a string."""
    return [
        module.at(node, f"the trusted zone calls {called}")
        for module in tree.modules(*TRUSTED)
        for node in ast.walk(module.syntax())
        if isinstance(node, ast.Call) and (called := _forbidden_call(node.func))
    ]


def _forbidden_call(function: ast.expr) -> str:
    if isinstance(function, ast.Name) and function.id in CALLS:
        return function.id
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
        module = function.value.id
        if function.attr in MODULE_CALLS.get(module, ()):
            return f"{module}.{function.attr}"
    return ""
