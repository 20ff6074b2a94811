# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Names a notebook uses that no cell above defines: it ran only because of what was left in a kernel. Nothing is run.

The check would rather miss one than raise a false alarm. A branch that may not be taken defines its names; the body of
a function counts where the function is called, or, when it is only passed on, against all cells; code that guards
against a NameError is believed. Where names can come from out of sight (``import *``, ``exec``, ``globals()``,
``%run``, an unknown magic, a cell that cannot be read) the check ends.

The client and the runner read notebooks; the trusted zone never imports this module.
"""

from __future__ import annotations

import builtins
import re
import symtable
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from animus_contracts.cell_code import CellCode, Magic, read_cell
from animus_contracts.inspections import UndefinedName
from animus_contracts.name_flow import Flow
from animus_contracts.name_scopes import Function
from animus_contracts.parameter_cells import PARAMETERS_TAG, cell_source

ALWAYS_THERE = frozenset(dir(builtins)) | {
    "BaseExceptionGroup", "ExceptionGroup", "In", "Out", "PythonFinalizationError", "_", "__", "___",
    "__builtin__", "__builtins__", "__doc__", "__file__", "__loader__", "__name__", "__package__", "__spec__", "_dh",
    "_exit_code", "_i", "_ih", "_ii", "_iii", "_oh", "aiter", "anext", "display", "exit", "get_ipython", "quit",
}  # fmt: skip
HISTORY = re.compile(r"_i?\d+")
NAME = re.compile(r"[A-Za-z_]\w*")

HARMLESS_MAGICS = frozenset(
    {
        "!", "HTML", "SVG", "alias", "animus", "autoreload", "autosave", "bash", "capture", "cd", "cmd", "colors",
        "conda", "config", "debug", "dirs", "doctest_mode", "env", "html", "javascript", "js", "latex", "load_ext",
        "logstart", "ls", "lsmagic", "magic", "mamba", "man", "markdown", "matplotlib", "mkdir", "notebook", "pdb",
        "perl", "pinfo", "pip", "popd", "precision", "prun", "psource", "pushd", "pwd", "quickref", "reload_ext", "rm",
        "rmdir", "ruby", "script", "set_env", "sh", "svg", "sx", "system", "time", "timeit", "unload_ext", "uv", "who",
        "who_ls", "whos", "writefile", "xmode",
    }
)  # fmt: skip
"""Magics that define no name but those their arguments spell; after any other the check ends."""

MAX_NAMES = 100
SKIPPED_TAG, RAISING_TAG = "skip-execution", "raises-exception"


@dataclass(slots=True)
class _Check:
    """The state between cells: what is defined, and what was found."""

    known: set[str] = field(default_factory=lambda: set(ALWAYS_THERE))
    functions: dict[str, Function] = field(default_factory=dict)
    passed_on: list[Function] = field(default_factory=list)
    found: list[UndefinedName] = field(default_factory=list)


def undefined_names(notebook: dict[str, Any]) -> list[UndefinedName]:
    """Return the names that cells use before any cell defines them, each once, in the order of their first use.

    Args:
        notebook: An nbformat 4 notebook as JSON.

    Returns:
        At most :data:`MAX_NAMES` names.
    """
    cells = [(index, cell, read_cell(cell_source(cell))) for index, cell in _code_cells(notebook)]
    check, is_complete = _Check(), True
    for index, cell, code in cells:
        if not _check_cell(check, index, cell, code):
            is_complete = False
            break
    if is_complete:
        _check_passed_on(check, dict(_code_cells(notebook)))
    below = [(index, _bound_by(cell, code)) for index, cell, code in cells]
    return [_with_definition(one, below) for one in check.found[:MAX_NAMES]]


def _code_cells(notebook: dict[str, Any]) -> Iterator[tuple[int, dict[str, Any]]]:
    for index, cell in enumerate(notebook.get("cells", ())):
        if cell.get("cell_type") == "code" and SKIPPED_TAG not in _tags(cell):
            yield index, cell


def _tags(cell: dict[str, Any]) -> list[str]:
    tags = cell.get("metadata", {}).get("tags", [])
    return tags if isinstance(tags, list) else []


def _check_cell(check: _Check, index: int, cell: dict[str, Any], code: CellCode) -> bool:
    """Check one cell; False when nothing can be said about names from here on."""
    if code.tree is None or any(magic.name not in HARMLESS_MAGICS for magic in code.magics):
        return False
    check.known |= _named_by(code.magics)
    try:
        table = symtable.symtable(code.text, "cell", "exec")
    except SyntaxError:
        return False
    flow = Flow(cell=index, known=check.known, functions=check.functions, table=table)
    flow.run(code.tree)
    if PARAMETERS_TAG in _tags(cell):
        check.known |= {symbol.get_name() for symbol in table.get_symbols() if symbol.is_annotated()}
    if RAISING_TAG not in _tags(cell):
        for name, line in flow.missing:
            if not HISTORY.fullmatch(name):
                _report(check, name, index, cell, line)
    check.passed_on += flow.passed_on.values()
    return not flow.is_opaque


def _report(check: _Check, name: str, index: int, cell: dict[str, Any], line: int) -> None:
    if all(one.name != name for one in check.found):
        cell_id = str(cell.get("id", ""))
        check.found.append(UndefinedName(name=name, cell_index=index, cell_id=cell_id, line=line))


def _check_passed_on(check: _Check, cells: dict[int, dict[str, Any]]) -> None:
    """Check functions that were handed to others against all cells: whoever calls them may do so at the end."""
    for function in check.passed_on:
        for name, line in function.uses.items():
            if name not in check.known and not HISTORY.fullmatch(name):
                _report(check, name, function.cell, cells[function.cell], line)


def _named_by(magics: tuple[Magic, ...]) -> set[str]:
    """Return the names that magics define: ``%%capture out``, ``%%bash --out text``."""
    found: set[str] = set()
    for magic in magics:
        if magic.is_cell:
            found |= set(NAME.findall(magic.argument))
    return found


def _bound_by(cell: dict[str, Any], code: CellCode) -> set[str]:
    """Return every name a cell defines at its top level, in whatever order."""
    names = _named_by(code.magics)
    if code.tree is None or RAISING_TAG in _tags(cell):
        return names
    try:
        table = symtable.symtable(code.text, "cell", "exec")
    except SyntaxError:
        return names
    return names | {symbol.get_name() for symbol in table.get_symbols() if symbol.is_assigned() or symbol.is_imported()}


def _with_definition(one: UndefinedName, cells: list[tuple[int, set[str]]]) -> UndefinedName:
    defined_in = next((index for index, names in cells if index > one.cell_index and one.name in names), None)
    return UndefinedName(
        name=one.name, cell_index=one.cell_index, cell_id=one.cell_id, line=one.line, defined_in=defined_in
    )
