# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Which global names a function uses and defines, as CPython itself resolves its scopes; nothing is run."""

from __future__ import annotations

import ast
import symtable
from dataclasses import dataclass, field

GUARDS = frozenset({"NameError", "Exception", "BaseException"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What calling a function needs and gives: global names it uses, with the line, and those it defines.

    ``cell`` is the position of the cell it is in.
    """

    cell: int
    uses: dict[str, int] = field(default_factory=dict)
    defines: frozenset[str] = frozenset()


class Scopes:
    """The functions of one cell.

    Args:
        cell: Its position in the notebook.
        table: Its scopes.
    """

    def __init__(self, cell: int, table: symtable.SymbolTable) -> None:
        self._cell = cell
        self._tables: dict[tuple[str, int], list[symtable.SymbolTable]] = {}
        todo = [table]
        while todo:
            for child in todo.pop().get_children():
                self._tables.setdefault((child.get_name(), child.get_lineno()), []).append(child)
                todo.append(child)

    def function(self, name: str, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Function:
        """Describe a function; one that looks out for a NameError needs nothing."""
        if any(isinstance(inner, ast.ExceptHandler) and is_guard(inner) for inner in ast.walk(node)):
            return Function(cell=self._cell)
        lines: dict[str, int] = {}
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                lines.setdefault(inner.id, inner.lineno)
        tables = self._tables.get((name, node.lineno), [])
        uses = {used: lines.get(used, node.lineno) for table in tables for used in sorted(_globals_used(table))}
        defines = frozenset(used for table in tables for used in _globals_set(table))
        return Function(cell=self._cell, uses=uses, defines=defines)


def is_guard(handler: ast.ExceptHandler) -> bool:
    """Say whether a handler would notice that a name is missing."""
    return handler.type is None or any(
        isinstance(node, ast.Name) and node.id in GUARDS for node in ast.walk(handler.type)
    )


def _globals_used(table: symtable.SymbolTable) -> set[str]:
    names = {symbol.get_name() for symbol in table.get_symbols() if symbol.is_global() and symbol.is_referenced()}
    return names.union(*map(_globals_used, table.get_children()))


def _globals_set(table: symtable.SymbolTable) -> set[str]:
    names = {
        symbol.get_name() for symbol in table.get_symbols() if symbol.is_declared_global() and symbol.is_assigned()
    }
    return names.union(*map(_globals_set, table.get_children()))
