# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The Python in a notebook cell, with IPython's own syntax taken out and every line where it was; nothing is run.

A line is a magic only where Python cannot read it otherwise, so a ``%`` in a string or in brackets stays what it is.
``%time f()`` and ``x = %time f()`` keep their expression; other magics leave ``pass``, or ``x = None`` if they assign.

The client and the runner read notebooks; the trusted zone never imports this module.
"""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

MAX_SOURCE = 256 * 1024
MAX_WORK = 8 << 20
"""How many characters are parsed for one cell, all attempts together."""

PYTHON_CELL_MAGICS = frozenset({"capture", "prun", "time", "timeit"})
PYTHON_LINE_MAGICS = frozenset({"prun", "time", "timeit"})

CELL_MAGIC = re.compile(r"%%(\w[\w.]*)[ \t]*(.*)")
LINE_MAGIC = re.compile(r"([ \t]*)(?:([^=%!?'\"#]+?)[ \t]*=[ \t]*)?(?:%([\w.]+)[ \t]*(.*)|!!?(.*))")
HELP = re.compile(r"([ \t]*)(?:\?{1,2}[ \t]*[\w.*%]+|%{0,2}[\w.*\[\]'\"]+[ \t]*\?{1,2})[ \t]*(?:#.*)?")
SHELL = "!"


@dataclass(frozen=True, slots=True, kw_only=True)
class Magic:
    """One use of IPython's own syntax: its name (``!`` for the shell), what follows, and its line from 1."""

    name: str
    argument: str
    line: int
    is_cell: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CellCode:
    """The Python of a cell; ``tree`` is None when it cannot be read, and ``error`` then says why."""

    tree: ast.Module | None
    text: str
    magics: tuple[Magic, ...] = ()
    error: str = ""


def read_cell(source: str) -> CellCode:
    """Parse the Python in a cell."""
    if len(source) > MAX_SOURCE:
        return CellCode(tree=None, text="", error=f"the cell is longer than {MAX_SOURCE} characters")
    lines = re.split(r"\r\n|\r|\n", source)
    magics: list[Magic] = []
    first = next((place for place, line in enumerate(lines) if line.strip()), 0)
    if found := CELL_MAGIC.fullmatch(lines[first]):
        magics.append(Magic(name=found[1], argument=found[2], line=first + 1, is_cell=True))
        if found[1] not in PYTHON_CELL_MAGICS:
            return CellCode(tree=ast.Module(body=[], type_ignores=[]), text="", magics=tuple(magics))
        lines[first] = ""
    return _parsed(lines, magics)


def _parsed(lines: list[str], magics: list[Magic]) -> CellCode:
    for _ in range(1 + MAX_WORK // (1 + sum(map(len, lines)))):
        text = "\n".join(lines)
        try:
            with warnings.catch_warnings(action="ignore"):  # a doubtful escape in the user's text is the user's
                return CellCode(tree=ast.parse(text), text=text, magics=tuple(magics))
        except SyntaxError as error:
            place = min(max((error.lineno or 1) - 1, 0), len(lines) - 1)
            if not _take_out(lines, place, magics):
                return CellCode(tree=None, text=text, magics=tuple(magics), error=f"line {place + 1}: {error.msg}")
        except (ValueError, RecursionError, MemoryError) as error:
            return CellCode(tree=None, text=text, error=f"not readable as Python ({type(error).__name__})")
    return CellCode(tree=None, text="", magics=tuple(magics), error="too many lines that are not Python")


def _take_out(lines: list[str], place: int, magics: list[Magic]) -> bool:
    """Replace a line of IPython's syntax by Python; False when it is not one."""
    line = lines[place]
    if found := HELP.fullmatch(line):
        lines[place] = f"{found[1]}pass"
        return True
    if (found := LINE_MAGIC.fullmatch(line)) is None:
        return False
    indent, target, name, argument, command = found.groups()
    magics.append(Magic(name=name or SHELL, argument=(argument if name else command) or "", line=place + 1))
    value = argument if name in PYTHON_LINE_MAGICS and argument and not argument.startswith("-") else ""
    if target:
        lines[place] = f"{indent}{target} = {value or 'None'}"
    else:
        lines[place] = f"{indent}{value or 'pass'}"
    return True
