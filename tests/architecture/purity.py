# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the import graph cannot show: calls for the clock, for randomness, for files; and packages that must stay light.

``datetime`` and ``uuid`` are values everyone may use; only some of their functions read the world.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

from tests.architecture.source_trees import Module, SourceTree
from tests.architecture.trusted_zone import imports_of

PURE = ("animus_contracts", "animus_control.domain")
WORLDLY_NAMES = frozenset({"input", "open", "print"})
WORLDLY_METHODS = frozenset(
    {"getnode", "now", "open", "read_bytes", "read_text", "today", "utcnow", "uuid1", "uuid4", "write_text"}
)

PACKAGED = {("animus_control.domain.policies", "read_text")}
"""Package data is code in another language: the default policies are read once through ``importlib.resources``."""

STANDALONE = {
    "server_extension/animus/__init__.py": frozenset[str](),
    "server_extension/animus/errors.py": frozenset[str](),
    "server_extension/animus/inside.py": frozenset[str](),
    "server_extension/animus/quiet.py": frozenset[str](),
    "kernels/animus_runner/kernel_parent.py": frozenset({"IPython", "ipykernel"}),
    "kernels/animus_runner/kernel_process.py": frozenset({"IPython", "ipykernel", "traitlets"}),
    "kernels/animus_runner/limits.py": frozenset[str](),
    "kernels/animus_runner/sandbox.py": frozenset[str](),
    "kernels/animus_runner/warden.py": frozenset[str](),
}
"""What reaches the kernel's own environment, where nothing of ours is installed, and what each file may rely on there.
Imports inside functions count too; those for the type checker do not."""


def worldly_calls(tree: SourceTree) -> list[str]:
    """Find calls by which contracts or domain would read a clock, randomness or a file by themselves."""
    return [
        module.at(node, f"pure code calls {called}()")
        for module in tree.modules("animus_contracts", "animus_control")
        if module.name.startswith(PURE)
        for node in ast.walk(module.syntax())
        if isinstance(node, ast.Call) and (called := _worldly(node.func)) and (module.name, called) not in PACKAGED
    ]


def _worldly(function: ast.expr) -> str:
    if isinstance(function, ast.Name) and function.id in WORLDLY_NAMES | {"uuid1", "uuid4"}:
        return function.id
    if isinstance(function, ast.Attribute) and function.attr in WORLDLY_METHODS:
        return function.attr
    return ""


def types_worked_out_elsewhere(tree: SourceTree) -> list[str]:
    """Find calls that tell msgspec a type to decode outside of :mod:`animus_contracts.decoding`.

    Two threads that do so for one type at one time end the process.
    """
    return [
        module.at(node, f"{ast.unparse(node.func)}() with a type: only animus_contracts.decoding may")
        for module in tree.modules()
        if module.name != "animus_contracts.decoding"
        for node in ast.walk(module.syntax())
        if isinstance(node, ast.Call) and _tells_a_type(node)
    ]


def _tells_a_type(call: ast.Call) -> bool:
    """Say whether a call is one of msgspec's that works a type out; reading JSON as plain values is none."""
    name = ast.unparse(call.func)
    if not name.startswith("msgspec."):
        return False
    is_typed = len(call.args) > 1 or any(keyword.arg == "type" for keyword in call.keywords)
    return name.endswith((".convert", ".Decoder")) or (name.endswith(".decode") and is_typed)


def heavy_imports(tree: SourceTree) -> list[str]:
    """Find imports of what is not there where the file runs."""
    return [
        module.at(node, f"{name} is not there where this file runs")
        for module in tree.modules()
        if module.place in STANDALONE
        for node, name in _expanded(module)
        if not _is_there(module, name) and node not in _for_the_type_checker(module)
    ]


def _expanded(module: Module) -> Iterator[tuple[ast.AST, str]]:
    """Yield imports with ``from package import module`` told as ``package.module``, for the file's own package."""
    for node, name in imports_of(module):
        if isinstance(node, ast.ImportFrom) and name == module.package:
            yield from ((node, f"{name}.{alias.name}") for alias in node.names)
        else:
            yield node, name


def _is_there(module: Module, name: str) -> bool:
    top, _, rest = name.partition(".")
    beside = module.place.rpartition("/")[0] + f"/{rest or '__init__'}.py"
    return top in sys.stdlib_module_names | STANDALONE[module.place] or (top == module.package and beside in STANDALONE)


def _for_the_type_checker(module: Module) -> set[ast.AST]:
    guarded = (
        node
        for node in ast.walk(module.syntax())
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
    )
    return {inner for node in guarded for statement in node.body for inner in ast.walk(statement)}
