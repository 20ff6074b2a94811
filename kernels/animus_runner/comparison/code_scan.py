# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a notebook's code does that may come out differently, statement by statement; read, never run.

A step is one statement of a cell with the names it binds and uses, so that a difference can be followed back: only
statements whose names reach the cell that differs count as evidence.
"""

from __future__ import annotations

import ast
from collections.abc import Container, Iterable
from dataclasses import dataclass

from animus_contracts.cell_code import read_cell
from animus_contracts.comparisons import CauseKind
from animus_runner.comparison.normalisation import Cell
from animus_runner.comparison.suspects import MAGICS, METHODS, NAMES, PREFIXES, SEEDS, randomness_of

ORDERING = frozenset({"sorted", "len", "set", "frozenset", "sum", "min", "max", "any", "all", "collections.Counter"})
"""Calls after which the order of what they were given does not matter."""

RELATIVE_TIMES = frozenset({"now", "today"})
MAX_EVIDENCE = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspect:
    """One thing in the code that may come out differently."""

    kind: CauseKind
    cell_index: int | None
    line: int
    evidence: str
    is_weak: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One statement: in which cell (by place in the list), what it binds or changes, uses, and is suspected of."""

    place: int
    binds: frozenset[str] = frozenset()
    uses: frozenset[str] = frozenset()
    suspects: tuple[Suspect, ...] = ()
    texts: frozenset[str] = frozenset()


def scan(cells: list[Cell], *, is_seeded: bool) -> list[Step]:
    """Return the steps of all cells in order.

    Args:
        cells: The notebook's code cells.
        is_seeded: Whether the run had a seed, which seeds Python's ``random`` before the first cell.
    """
    scanner = _Scanner(seeded={"random"} if is_seeded else set())
    for place, cell in enumerate(cells):
        scanner.read(place, cell)
    return scanner.steps


class _Scanner:
    def __init__(self, seeded: set[str]) -> None:
        self.steps: list[Step] = []
        self._seeded = seeded
        self._imports: dict[str, str] = {}
        self._sorted: set[str] = set()
        self._classes: set[str] = set()

    def read(self, place: int, cell: Cell) -> None:
        code = read_cell(cell.source)
        lines = cell.source.splitlines()
        for magic in code.magics:
            if kind := MAGICS.get(magic.name):
                evidence = f"%{magic.name}" if magic.name != "!" else f"!{magic.argument}"[:MAX_EVIDENCE]
                found = Suspect(kind=kind, cell_index=cell.index, line=magic.line, evidence=evidence)
                self.steps.append(Step(place=place, suspects=(found,)))
        if code.tree is None:
            return
        for node in ast.walk(code.tree):
            self._sorted.add(_sorted_in_place(node))
            if isinstance(node, ast.ClassDef) and not _has_hash(node):
                self._classes.add(node.name)
        for statement in code.tree.body:
            self.steps.append(self._step(place, cell, statement, lines))

    def _step(self, place: int, cell: Cell, statement: ast.stmt, lines: list[str]) -> Step:
        nodes = list(ast.walk(statement))
        for node in nodes:
            self._follow_import(node)
        binds, uses = _bound(nodes) | self._changed(nodes), _used(nodes)
        suspects = []
        for node, kind, is_weak in self._suspicions(nodes, binds):
            line = getattr(node, "lineno", 1)
            text = lines[line - 1].strip() if line <= len(lines) else ""
            suspects.append(
                Suspect(kind=kind, cell_index=cell.index, line=line, evidence=text[:MAX_EVIDENCE], is_weak=is_weak)
            )
        self._note_seeds(nodes, has_suspects=any(not suspect.is_weak for suspect in suspects))
        texts = frozenset(
            node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)
        )
        return Step(place=place, binds=binds, uses=uses, suspects=tuple(suspects), texts=texts)

    def _follow_import(self, node: ast.AST) -> None:
        if isinstance(node, ast.Import):
            for alias in node.names:
                self._imports[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                self._imports[alias.asname or alias.name] = f"{node.module}.{alias.name}"

    def _name(self, node: ast.expr) -> str:
        """Return the complete dotted name of what is called; empty when it is no name."""
        parts: list[str] = []
        while isinstance(node, ast.Attribute):
            parts.append(node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return f".{parts[0]}" if parts else ""
        root = self._imports.get(node.id)
        if root is None and parts:
            return f".{parts[0]}"
        return ".".join([root or node.id, *reversed(parts)])

    def _changed(self, nodes: list[ast.AST]) -> frozenset[str]:
        """Return the names of objects that a statement may change: by a call of a method, or by assigning into them."""
        found = set()
        for node in nodes:
            target: ast.expr | None = None
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                target = node.func
            elif isinstance(node, ast.Attribute | ast.Subscript) and isinstance(node.ctx, ast.Store):
                target = node
            while isinstance(target, ast.Attribute | ast.Subscript):
                target = target.value
            if isinstance(target, ast.Name):
                module = self._imports.get(target.id)
                if module is None or module.startswith("matplotlib"):  # the one module that is used as an object
                    found.add(target.id)
        return frozenset(found)

    def _suspicions(self, nodes: list[ast.AST], binds: frozenset[str]) -> Iterable[tuple[ast.AST, CauseKind, bool]]:
        ordered = {
            id(inner)
            for node in nodes
            if isinstance(node, ast.Call) and self._name(node.func) in ORDERING
            for argument in node.args
            for inner in ast.walk(argument)
        }
        for node in nodes:
            kind = self._kind(node)
            if kind is CauseKind.UNORDERED_ITERATION and (id(node) in ordered or binds & self._sorted):
                continue
            if kind:
                yield node, kind, False
            elif _is_set(node) and id(node) not in ordered and not binds & self._sorted:
                yield node, CauseKind.UNORDERED_ITERATION, not self._holds_objects(node)

    def _holds_objects(self, node: ast.AST) -> bool:
        """Say whether a set holds objects that are hashed by their address; strings have a fixed hash in runs."""
        made = [node.elt] if isinstance(node, ast.SetComp) else node.elts if isinstance(node, ast.Set) else []
        return any(isinstance(one, ast.Call) and self._name(one.func) in self._classes for one in made)

    def _kind(self, node: ast.AST) -> CauseKind | None:
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            return _of_text(node.value)
        return self._kind_of_call(self._name(node.func), node) if isinstance(node, ast.Call) else None

    def _kind_of_call(self, name: str, call: ast.Call) -> CauseKind | None:
        if randomness_of(name, call, self._seeded):
            return CauseKind.UNSEEDED_RANDOMNESS
        if kind := NAMES.get(name):
            return None if _is_of_a_given_time(name, call) else kind
        if kind := next((kind for prefix, kind in PREFIXES.items() if name.startswith(prefix)), None):
            return kind
        if name.startswith(".") and name[1:] in METHODS:
            return METHODS[name[1:]]
        if name in {"pandas.to_datetime", "numpy.datetime64", "pandas.Timestamp"} and _says(call, RELATIVE_TIMES):
            return CauseKind.CLOCK
        return CauseKind.THREADS if _asks_for_jobs(call) else None

    def _note_seeds(self, nodes: list[ast.AST], *, has_suspects: bool) -> None:
        for node in nodes:
            if isinstance(node, ast.Call) and (kinds := SEEDS.get(self._name(node.func))) and not has_suspects:
                self._seeded |= kinds


def _bound(nodes: list[ast.AST]) -> frozenset[str]:
    found = set()
    for node in nodes:
        if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found |= {alias.asname or alias.name.partition(".")[0] for alias in node.names}
    return frozenset(found)


def _used(nodes: list[ast.AST]) -> frozenset[str]:
    return frozenset(node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load))


def _sorted_in_place(node: ast.AST) -> str:
    """Return the name of a list that a call sorts; empty when it does not."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "sort":
        return node.func.value.id if isinstance(node.func.value, ast.Name) else ""
    return ""


def _is_set(node: ast.AST) -> bool:
    is_call = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in {"set", "frozenset"}
    return is_call or isinstance(node, ast.Set | ast.SetComp)


def _has_hash(node: ast.ClassDef) -> bool:
    """Say whether a class says itself how its objects are hashed, or may inherit it."""
    is_told = any(isinstance(member, ast.FunctionDef) and member.name in {"__hash__", "__eq__"} for member in node.body)
    return is_told or bool(node.bases) or bool(node.decorator_list)


def _of_text(text: str) -> CauseKind | None:
    if "%(asctime)" in text or "{asctime}" in text:
        return CauseKind.CLOCK  # the format of a log line
    if "%(process)" in text or "%(thread)" in text:
        return CauseKind.PROCESS_IDENTITY
    return CauseKind.EXTERNAL_STATE if text.startswith(("/proc/", "/sys/", "http://", "https://")) else None


def _is_of_a_given_time(name: str, call: ast.Call) -> bool:
    """Say whether a function that would use the current time was given another one."""
    needed = {"time.strftime": 2, "time.localtime": 1, "time.gmtime": 1, "time.ctime": 1, "time.asctime": 1}
    return name in needed and len(call.args) >= needed[name]


def _says(call: ast.Call, words: Container[object]) -> bool:
    return any(isinstance(argument, ast.Constant) and argument.value in words for argument in call.args)


def _asks_for_jobs(call: ast.Call) -> bool:
    jobs = [keyword.value for keyword in call.keywords if keyword.arg == "n_jobs"]
    return bool(jobs) and not (isinstance(jobs[0], ast.Constant) and jobs[0].value in {None, 1})
