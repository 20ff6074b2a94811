# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Notebooks as text: which one is being edited, what it would execute, and the values its parameters take.

Only JSON is read here, and code is only ever looked at, never run. A value typed on a command line becomes the type the
notebook declares, so that ``-p depth=4`` is an integer exactly when ``depth`` is one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from animus.errors import UsageError
from animus_contracts.parameters import Parameter, ParameterType, parameter_faults, secret_rule
from animus_contracts.problems import Fault

WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
NOTHING = frozenset({"none", "null"})


def current() -> Path:
    """Return the notebook that is being edited in this kernel.

    Raises:
        UsageError: If the kernel does not know.
    """
    name = os.environ.get("JPY_SESSION_NAME", "")
    if not name.endswith(".ipynb"):
        raise UsageError("which_notebook", "no notebook was named", remedy="%animus run NOTEBOOK")
    path = Path(name)
    # The server gives the path below its own root; the kernel starts in the notebook's folder.
    return path if path.is_file() else Path(path.name)


def decode(content: bytes) -> dict[str, Any]:
    """Decode a notebook.

    Raises:
        UsageError: If it is not one.
    """
    try:
        notebook = json.loads(content)
    except ValueError as error:
        raise UsageError("bad_notebook", f"the notebook is not valid JSON: {error}") from error
    if not isinstance(notebook, dict) or not isinstance(notebook.get("cells"), list):
        raise UsageError("bad_notebook", "the file is not a notebook (it has no list of cells)")
    return notebook


def same_code(one: bytes, other: bytes) -> bool:
    """Say whether two notebooks would execute the same: sources, tags and kernel, without outputs and counts."""
    try:
        return _code(decode(one)) == _code(decode(other))
    except UsageError:
        return False


def _code(notebook: dict[str, Any]) -> tuple[Any, ...]:
    cells = [
        (cell.get("cell_type"), "".join(cell.get("source", "")), (cell.get("metadata") or {}).get("tags", []))
        for cell in notebook["cells"]
        if isinstance(cell, dict)
    ]
    kernel = (notebook.get("metadata") or {}).get("kernelspec", {}).get("name")
    return cells, kernel


def typed_values(schema: list[Parameter], assignments: Iterable[str]) -> dict[str, Any]:
    """Turn ``name=text`` into values of the declared types, and check them.

    Raises:
        UsageError: With every fault, if a value does not fit or looks like a credential.
    """
    declared = {parameter.name: parameter for parameter in schema}
    values: dict[str, Any] = {}
    for assignment in assignments:
        name, equals, text = assignment.partition("=")
        if not equals:
            raise UsageError("bad_parameter", f"{assignment!r} is not NAME=VALUE", remedy="for example -p depth=4")
        values[name] = typed_value(declared[name], text) if name in declared else text
    check(schema, values)
    return values


def check(schema: list[Parameter], values: dict[str, Any]) -> None:
    """Check values against a schema.

    Raises:
        UsageError: With every fault.
    """
    if faults := parameter_faults(schema, values):
        raise UsageError("parameter_invalid", "", faults=faults, remedy=_declaration(schema))
    secrets = [
        Fault(path=f"$.parameters.{name}", code=rule, message=f"{name} looks like a credential (rule {rule})")
        for name, value in values.items()
        if (rule := secret_rule(name, value))
    ]
    if secrets:
        remedy = "pass secrets as references, never as parameters"
        raise UsageError("secret_in_parameters", "", faults=secrets, remedy=remedy)


def typed_value(parameter: Parameter, text: str) -> Any:
    """Read a text as a parameter's type; what cannot be read stays text, and the check will say what is wrong."""
    if parameter.nullable and text.lower() in NOTHING:
        return None
    readers: dict[ParameterType, Any] = {
        ParameterType.INTEGER: int,
        ParameterType.NUMBER: float,
        ParameterType.STRING: str,
        ParameterType.BOOLEAN: lambda word: WORDS[word.lower()],
        ParameterType.ARRAY: json.loads,
        ParameterType.OBJECT: json.loads,
        ParameterType.ANY: json.loads,
    }
    try:
        return readers[parameter.type](text)
    except (ValueError, KeyError):
        return text


def _declaration(schema: list[Parameter]) -> str:
    if not schema:
        return "the notebook declares no parameters; tag a cell `parameters`"
    told = (f"{parameter.name}: {parameter.type}" for parameter in schema)
    return f"the notebook declares {', '.join(told)}"
