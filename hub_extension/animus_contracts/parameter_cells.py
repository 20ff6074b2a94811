# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a notebook declares in its ``parameters`` cell, read without running any of it.

The cell is text to this module: it is parsed and looked at, never evaluated. A declaration is an assignment of a
literal (``depth = 4``), of a literal with a type (``depth: int = 4``), or a type alone (``depth: int``, a required
parameter). Types are ``int``, ``float``, ``str``, ``bool``, ``list`` and ``dict``, with ``| None`` or ``Optional``,
``Literal[...]``, and ``Annotated[int, (1, 10)]`` or ``Annotated[int, Ge(1), Le(10)]`` for inclusive bounds. Without a
type that is one of these, the default's own type counts. A comment behind a declaration is its help. What is
neither a declaration nor an import or a docstring declares nothing.

The client and the runner read notebooks; the trusted zone never imports this module.
"""

from __future__ import annotations

import ast
import io
import math
import tokenize
from collections.abc import Collection
from typing import Any

import msgspec

from animus_contracts.parameters import Parameter, ParameterType, is_parameter_name, value_fault

PARAMETERS_TAG = "parameters"
MAX_SOURCE = 256 * 1024

TYPE_NAMES = {
    "int": ParameterType.INTEGER,
    "float": ParameterType.NUMBER,
    "str": ParameterType.STRING,
    "bool": ParameterType.BOOLEAN,
    "list": ParameterType.ARRAY,
    "List": ParameterType.ARRAY,
    "dict": ParameterType.OBJECT,
    "Dict": ParameterType.OBJECT,
    "Any": ParameterType.ANY,
}
TYPES_OF_VALUES = {
    bool: ParameterType.BOOLEAN,
    int: ParameterType.INTEGER,
    float: ParameterType.NUMBER,
    str: ParameterType.STRING,
    list: ParameterType.ARRAY,
    dict: ParameterType.OBJECT,
    type(None): ParameterType.ANY,
}
BOUNDS = {"Ge": "minimum", "Le": "maximum"}


class ParameterCellError(ValueError):
    """The ``parameters`` cell cannot be read.

    Attributes:
        cell_index: Position of the cell in the notebook, from 0.
        line: Line within the cell, from 1.
    """

    def __init__(self, message: str, *, cell_index: int, line: int) -> None:
        super().__init__(f"cell {cell_index}, line {line}: {message}")
        self.cell_index = cell_index
        self.line = line


class _NotReadableError(Exception):
    """Something in a declaration is outside of what can be read; the message says what."""


def cell_source(cell: dict[str, Any]) -> str:
    """Return a cell's text, which a file may hold as one string or as lines."""
    source = cell.get("source", "")
    return source if isinstance(source, str) else "".join(source)


def parameters_cell_index(notebook: dict[str, Any]) -> int | None:
    """Return the position of the first code cell tagged ``parameters``, or None."""
    for index, cell in enumerate(notebook.get("cells", ())):
        if cell.get("cell_type") == "code" and PARAMETERS_TAG in cell.get("metadata", {}).get("tags", ()):
            return index
    return None


def has_parameters_cell(notebook: dict[str, Any]) -> bool:
    """Say whether a notebook has a ``parameters`` cell at all."""
    return parameters_cell_index(notebook) is not None


def read_parameters(notebook: dict[str, Any]) -> list[Parameter]:
    """Read what a notebook declares.

    Args:
        notebook: The notebook as decoded JSON.

    Returns:
        The parameters in the order of their declaration; empty when there is no ``parameters`` cell.

    Raises:
        ParameterCellError: If a declaration cannot be read, with its place.
    """
    index = parameters_cell_index(notebook)
    if index is None:
        return []
    source = cell_source(notebook["cells"][index])
    statements = _parsed(source, index)
    comments = _comments(source)
    declared: dict[str, Parameter] = {}
    for statement in statements:
        try:
            for parameter in _declarations(statement, declared):
                text = comments.get(statement.end_lineno or statement.lineno, "")
                declared[parameter.name] = msgspec.structs.replace(parameter, help=parameter.help or text)
        except _NotReadableError as error:
            raise ParameterCellError(str(error), cell_index=index, line=statement.lineno) from error
    return list(declared.values())


def _parsed(source: str, index: int) -> list[ast.stmt]:
    if len(source) > MAX_SOURCE:
        raise ParameterCellError(f"the cell is longer than {MAX_SOURCE} characters", cell_index=index, line=1)
    try:
        return ast.parse(source).body
    except SyntaxError as error:
        message = f"not Python: {error.msg}"
        raise ParameterCellError(message, cell_index=index, line=error.lineno or 1) from error
    except (ValueError, RecursionError, MemoryError) as error:
        message = f"not readable as Python ({type(error).__name__})"
        raise ParameterCellError(message, cell_index=index, line=1) from error


def _comments(source: str) -> dict[int, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {token.start[0]: token.string.lstrip("# ").strip() for token in tokens if token.type == tokenize.COMMENT}


def _declarations(statement: ast.stmt, before: Collection[str]) -> list[Parameter]:
    if isinstance(statement, ast.AnnAssign):
        return [_declared(_name(statement.target, before), statement.annotation, statement.value)]
    if isinstance(statement, ast.Assign):
        return [_declared(_name(target, before), None, statement.value) for target in statement.targets]
    return []


def _name(target: ast.expr, before: Collection[str]) -> str:
    if not isinstance(target, ast.Name):
        raise _NotReadableError("declare one parameter by its plain name per assignment")
    if target.id in before:
        raise _NotReadableError(f"{target.id} is declared twice")
    if not is_parameter_name(target.id):
        raise _NotReadableError(f"{target.id[:80]!r} cannot be a parameter's name")
    return target.id


def _declared(name: str, annotation: ast.expr | None, default: ast.expr | None) -> Parameter:
    parameter = Parameter(name=name, required=default is None)
    known = annotation is not None
    if annotation is not None:
        try:
            parameter = _annotated(parameter, annotation)
        except KeyError:
            known = False
    if default is None:
        return parameter
    try:
        value = _literal(default)
    except _NotReadableError as error:
        raise _NotReadableError(f"the default of {name} is not a literal: {error}") from error
    if not known:
        is_null = value is None
        parameter = msgspec.structs.replace(parameter, type=TYPES_OF_VALUES[type(value)], nullable=is_null)
    if fault := value_fault(parameter, value):
        raise _NotReadableError(f"the default of {name} contradicts its declaration: it {fault}")
    return msgspec.structs.replace(parameter, default=value)


def _annotated(parameter: Parameter, annotation: ast.expr) -> Parameter:
    """Apply an annotation to a parameter; KeyError when its type is not one that is known."""
    if isinstance(annotation, ast.Constant) and isinstance(annotation.value, str):
        return _annotated(parameter, _expression(annotation.value))
    if isinstance(annotation, ast.BinOp) and isinstance(annotation.op, ast.BitOr):
        sides = [side for side in (annotation.left, annotation.right) if not _is_none(side)]
        if len(sides) != 1:
            raise KeyError(ast.unparse(annotation))
        return msgspec.structs.replace(_annotated(parameter, sides[0]), nullable=True)
    if isinstance(annotation, ast.Subscript):
        items = annotation.slice.elts if isinstance(annotation.slice, ast.Tuple) else [annotation.slice]
        return _subscripted(parameter, _last_name(annotation.value), items)
    return msgspec.structs.replace(parameter, type=TYPE_NAMES[_last_name(annotation)])


def _expression(text: str) -> ast.expr:
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError) as error:
        raise KeyError(text) from error


def _subscripted(parameter: Parameter, name: str, items: list[ast.expr]) -> Parameter:
    if name == "Optional" and len(items) == 1:
        return msgspec.structs.replace(_annotated(parameter, items[0]), nullable=True)
    if name == "Literal":
        return _chosen(parameter, [_literal(item) for item in items])
    if name == "Annotated" and items:
        parameter = _annotated(parameter, items[0])
        for item in items[1:]:
            parameter = _bounded(parameter, item)
        return parameter
    return msgspec.structs.replace(parameter, type=TYPE_NAMES[name])


def _chosen(parameter: Parameter, choices: list[Any]) -> Parameter:
    values = [choice for choice in choices if choice is not None]
    types = {TYPES_OF_VALUES[type(value)] for value in values}
    kind = types.pop() if len(types) == 1 else ParameterType.ANY
    return msgspec.structs.replace(parameter, type=kind, choices=values, nullable=None in choices)


def _bounded(parameter: Parameter, item: ast.expr) -> Parameter:
    if isinstance(item, ast.Constant) and isinstance(item.value, str):
        return msgspec.structs.replace(parameter, help=item.value)
    if isinstance(item, ast.Tuple) and len(item.elts) == len(BOUNDS):
        low, high = (_bound(element) for element in item.elts)
        return msgspec.structs.replace(parameter, minimum=low, maximum=high)
    if isinstance(item, ast.Call):
        name = _last_name(item.func)
        keywords = {(keyword.arg or "").capitalize(): keyword.value for keyword in item.keywords}
        if name in BOUNDS and len(item.args) == 1 and not keywords:
            return msgspec.structs.replace(parameter, **{BOUNDS[name]: _bound(item.args[0])})
        if name == "Interval" and not item.args and keywords.keys() <= BOUNDS.keys():
            bounds = {BOUNDS[key]: _bound(value) for key, value in keywords.items()}
            return msgspec.structs.replace(parameter, **bounds)
    raise _NotReadableError(
        f"{ast.unparse(item)} is no bound that can be checked; write (lowest, highest), Ge(lowest) or Le(highest)"
    )


def _bound(node: ast.expr) -> int | float | None:
    value = _literal(node)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
        raise _NotReadableError(f"{ast.unparse(node)} is no number")
    return value


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    if isinstance(node, ast.Name):
        return node.id
    raise KeyError(ast.unparse(node))


def _literal(node: ast.expr) -> Any:
    """Return the JSON value a node spells out."""
    if isinstance(node, ast.List | ast.Tuple):
        return [_literal(item) for item in node.elts]
    if isinstance(node, ast.Dict):
        return {_key(key): _literal(value) for key, value in zip(node.keys, node.values, strict=True)}
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _literal(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Constant) and type(node.value) in TYPES_OF_VALUES:
        if isinstance(node.value, float) and not math.isfinite(node.value):
            raise _NotReadableError(f"{ast.unparse(node)} is not finite")
        return node.value
    raise _NotReadableError(f"{ast.unparse(node)[:80]} is computed, not written out")


def _key(node: ast.expr | None) -> str:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    raise _NotReadableError("keys of an object must be written out as strings")
