# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The order in which the top level of a cell defines and uses names, read from its syntax tree; nothing is run.

Scopes inside functions are CPython's own answer (:mod:`symtable`); the order of statements is followed here.
"""

from __future__ import annotations

import ast
import symtable
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from animus_contracts.name_scopes import Function, Scopes, is_guard

OPAQUE_CALLS = frozenset({"exec", "execfile", "globals", "locals", "vars"})


class Flow(ast.NodeVisitor):
    """One cell, statement by statement.

    Args:
        cell: Its position in the notebook.
        known: What is defined before the cell; names are added as the cell defines them.
        functions: The functions of the cells above by name; this cell's are added.
        table: Scopes of this cell.

    Attributes:
        missing: Names that are used before they are defined, with the line, in order.
        bound: Names that this cell defined.
        passed_on: Functions that were mentioned without being called.
        is_opaque: Whether names may be defined out of sight from here on.
    """

    def __init__(
        self, *, cell: int, known: set[str], functions: dict[str, Function], table: symtable.SymbolTable
    ) -> None:
        self.missing: list[tuple[str, int]] = []
        self.bound: set[str] = set()
        self.passed_on: dict[str, Function] = {}
        self.is_opaque = False
        self._known = known
        self._functions = functions
        self._scopes = Scopes(cell, table)
        self._inner: list[set[str]] = []
        self._depth = 0
        self._guards = 0

    def run(self, tree: ast.Module) -> None:
        """Follow a cell from its first statement to its last."""
        for statement in tree.body:
            self.visit(statement)

    # Names

    def visit_Name(self, node: ast.Name) -> None:
        """Take note of a use, a definition or a deletion."""
        if isinstance(node.ctx, ast.Store):
            self._bind(node.id)
        elif isinstance(node.ctx, ast.Load):
            self._use(node.id, node.lineno)
            if function := self._functions.get(node.id):
                self.passed_on[node.id] = function
        elif not self._depth and not self._inner:
            self._known.discard(node.id)

    def _bind(self, name: str) -> None:
        if self._inner:
            self._inner[-1].add(name)
        else:
            self._known.add(name)
            self.bound.add(name)

    def _use(self, name: str, line: int) -> None:
        is_there = name in self._known or any(name in names for names in self._inner)
        if not is_there and not self._guards and not self.is_opaque:
            self.missing.append((name, line))
            self._known.add(name)  # once is enough

    # Statements whose order is not that of their fields

    def visit_Assign(self, node: ast.Assign) -> None:
        """Use the value before the targets are defined."""
        self.visit(node.value)
        self._visit_all(node.targets)
        if isinstance(node.value, ast.Lambda) and isinstance(node.targets[0], ast.Name):
            self._functions[node.targets[0].id] = self._scopes.function("lambda", node.value)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        """Use the target, too."""
        self.visit(node.value)
        if isinstance(node.target, ast.Name):
            self._use(node.target.id, node.lineno)
        self.visit(node.target)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        """An annotation alone defines nothing."""
        self.visit(node.annotation)
        if node.value is not None:
            self.visit(node.value)
            self.visit(node.target)

    def visit_NamedExpr(self, node: ast.NamedExpr) -> None:
        """A walrus in a comprehension defines a name outside of it."""
        self.visit(node.value)
        self._known.add(node.target.id)

    def visit_For(self, node: ast.For | ast.AsyncFor) -> None:
        """A loop's body may use what an earlier round defined."""
        self.visit(node.iter)
        self.visit(node.target)
        self._loop([*node.body, *node.orelse])

    visit_AsyncFor = visit_For  # noqa: N815

    def visit_While(self, node: ast.While) -> None:
        """A loop's body may use what an earlier round defined."""
        self.visit(node.test)
        self._loop([*node.body, *node.orelse])

    def visit_If(self, node: ast.If) -> None:
        """Either branch defines its names."""
        self.visit(node.test)
        with self._conditionally():
            self._visit_all([*node.body, *node.orelse])

    def visit_Try(self, node: ast.Try | ast.TryStar) -> None:
        """What is tried may miss a name when somebody is there to notice."""
        is_guarded = any(map(is_guard, node.handlers))
        with self._conditionally():
            self._guards += is_guarded
            self._visit_all(node.body)
            self._guards -= is_guarded
            self._visit_all([*node.handlers, *node.orelse, *node.finalbody])

    visit_TryStar = visit_Try  # noqa: N815

    def visit_ExceptHandler(self, node: ast.ExceptHandler) -> None:
        """The name of an exception is defined in its handler."""
        if node.type:
            self.visit(node.type)
        if node.name:
            self._bind(node.name)
        self._visit_all(node.body)

    def visit_MatchAs(self, node: ast.MatchAs) -> None:
        """A pattern defines the names it captures."""
        if node.pattern:
            self.visit(node.pattern)
        if node.name:
            self._bind(node.name)

    def visit_MatchStar(self, node: ast.MatchStar) -> None:
        """A pattern defines the names it captures."""
        if node.name:
            self._bind(node.name)

    def visit_MatchMapping(self, node: ast.MatchMapping) -> None:
        """A pattern defines the names it captures."""
        self.generic_visit(node)
        if node.rest:
            self._bind(node.rest)

    def visit_Import(self, node: ast.Import) -> None:
        """An import defines the first part of a name."""
        for alias in node.names:
            self._bind(alias.asname or alias.name.partition(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        """``import *`` defines nobody knows what."""
        for alias in node.names:
            self.is_opaque |= alias.name == "*"
            self._bind(alias.asname or alias.name)

    # Scopes

    def visit_FunctionDef(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        """Defaults, annotations and decorators count now, the body when it is called."""
        self._visit_all(node.decorator_list)
        self._signature(node.args)
        if node.returns:
            self.visit(node.returns)
        function = self._scopes.function(node.name, node)
        self._known |= function.defines
        self.is_opaque |= not OPAQUE_CALLS.isdisjoint(function.uses)
        if not self._inner:
            self._functions[node.name] = function
        else:
            self.passed_on[f"{node.name}:{node.lineno}"] = function  # a method
        if node.decorator_list:
            self.passed_on[node.name] = function
        self._bind(node.name)

    visit_AsyncFunctionDef = visit_FunctionDef  # noqa: N815

    def visit_Lambda(self, node: ast.Lambda) -> None:
        """Whoever gets it calls it."""
        self._signature(node.args)
        self.passed_on[f"lambda:{node.lineno}:{node.col_offset}"] = self._scopes.function("lambda", node)

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        """A class runs its body at once, in a scope of its own."""
        self._visit_all([*node.decorator_list, *node.bases, *node.keywords])
        with self._scope():
            self._visit_all(node.body)
        self._bind(node.name)
        self._functions.pop(node.name, None)

    def _comprehension(self, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp) -> None:
        with self._scope():
            for generator in node.generators:
                self.visit(generator.iter)
                self.visit(generator.target)
                self._visit_all(generator.ifs)
            self._visit_all([node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt])

    visit_ListComp = visit_SetComp = visit_GeneratorExp = visit_DictComp = _comprehension  # noqa: N815

    def visit_Call(self, node: ast.Call) -> None:
        """A call of a function of the notebook needs the function's names, and those of what it calls."""
        if not isinstance(node.func, ast.Name):
            self.is_opaque |= _changes_names(node)
            self.generic_visit(node)
            return
        self._use(node.func.id, node.lineno)
        self._visit_all([*node.args, *node.keywords])
        self.is_opaque |= node.func.id in OPAQUE_CALLS
        self._enter(node.func.id, node.lineno, seen=set())

    def _enter(self, name: str, line: int, seen: set[str]) -> None:
        function = self._functions.get(name)
        if function is None or name in seen:
            return
        seen.add(name)
        for used in function.uses:
            self._use(used, line)
            self._enter(used, line, seen)

    def _signature(self, arguments: ast.arguments) -> None:
        self._visit_all([*arguments.defaults, *(default for default in arguments.kw_defaults if default)])
        everyone = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        self._visit_all([argument.annotation for argument in everyone if argument and argument.annotation])

    # Steps

    def _visit_all(self, nodes: Iterable[ast.AST]) -> None:
        for node in nodes:
            self.visit(node)

    def _loop(self, body: list[ast.stmt]) -> None:
        for node in (inner for statement in body for inner in ast.walk(statement)):
            if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                self._bind(node.id)
        with self._conditionally():
            self._visit_all(body)

    @contextmanager
    def _conditionally(self) -> Iterator[None]:
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def _scope(self) -> Iterator[None]:
        self._inner.append(set())
        yield
        self._inner.pop()


def _changes_names(call: ast.Call) -> bool:
    """Say whether a call goes through IPython, which can define names."""
    shell = any(isinstance(node, ast.Name) and node.id == "get_ipython" for node in ast.walk(call.func))
    return shell and bool(call.args or call.keywords)
