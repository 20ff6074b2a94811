# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A notebook's parameters: their schema as the notebook declares it, and the check of values against it.

The schema is read from the notebook's ``parameters`` cell by the client and again, at the commit, by the runner;
both sides use :func:`schema_digest` to say whether they saw the same one. The control plane only checks values.
"""

from __future__ import annotations

import keyword
import math
import re
from enum import StrEnum
from typing import Any

import msgspec

from animus_contracts.digests import Digest, digest_of, typed
from animus_contracts.identifiers import BINDING_NAME
from animus_contracts.problems import Fault

MAX_VALUE_BYTES = 64 * 1024
MAX_SHOWN = 60
"""How much of a refused value an error repeats, in characters."""


class ParameterType(StrEnum):
    """JSON types, with integers apart from other numbers; ``any`` accepts every JSON value."""

    INTEGER = "integer"
    NUMBER = "number"
    STRING = "string"
    BOOLEAN = "boolean"
    ARRAY = "array"
    OBJECT = "object"
    ANY = "any"


class Parameter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, omit_defaults=True):
    """One parameter as its notebook declares it.

    Attributes:
        name: A Python identifier, not a keyword, without leading double underscores.
        type: What values it takes; an integer is accepted where a number is asked for, never the reverse.
        required: True when the notebook gives it no default.
        default: The default value (JSON); meaningless when required.
        nullable: Whether null is accepted.
        choices: The only accepted values, when not empty (``Literal``).
        minimum: Smallest accepted number, inclusive.
        maximum: Largest accepted number, inclusive.
        help: The comment beside the declaration.
    """

    name: str
    type: ParameterType = ParameterType.ANY
    required: bool = False
    default: Any = None
    nullable: bool = False
    choices: list[Any] = []
    minimum: float | int | None = None
    maximum: float | int | None = None
    help: str = ""


PYTHON_TYPES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.INTEGER: (int,),
    ParameterType.NUMBER: (int, float),
    ParameterType.STRING: (str,),
    ParameterType.BOOLEAN: (bool,),
    ParameterType.ARRAY: (list,),
    ParameterType.OBJECT: (dict,),
    ParameterType.ANY: (object,),
}

# Names that denote a credential as a whole word; ``max_tokens`` and ``tokenizer`` do not.
SECRET_NAME = re.compile(
    r"(?i)(?:^|_)(?:password|passwd|passphrase|secret|credentials?|private_key|api_?key|access_key|"
    r"(?:auth|access|bearer|refresh|api|id|session)_?token|token)\Z"
)
SECRET_VALUES: dict[str, re.Pattern[str]] = {
    "aws_access_key_id": re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"),
    "bearer_token": re.compile(r"(?i)\bbearer\s+[a-z0-9._~+/-]{16,}"),
    "credential_assignment": re.compile(r"(?i)\b(?:password|passwd|secret|api[_-]?key|token)\s*[=:]\s*[^\s,;]{6,}"),
    "json_web_token": re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"),
    "private_key": re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----"),
    "url_with_password": re.compile(r"(?i)\b[a-z][a-z0-9+.-]*://[^/\s:@]+:[^/\s:@]+@"),
    "vendor_token": re.compile(
        r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|glpat-[A-Za-z0-9_-]{16,}|xox[abprs]-[A-Za-z0-9-]{10,}|"
        r"hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_-]{24,})"
    ),
}


def schema_digest(schema: list[Parameter]) -> Digest:
    """Return the digest of a schema; the order of declaration does not matter."""
    rows = [
        {**msgspec.to_builtins(parameter), "default": None, "choices": [], "minimum": None, "maximum": None}
        | {
            "typed": typed(
                [
                    msgspec.to_builtins(parameter.default),
                    msgspec.to_builtins(parameter.choices),
                    parameter.minimum,
                    parameter.maximum,
                ]
            )
        }
        for parameter in sorted(schema, key=lambda parameter: parameter.name)
    ]
    return digest_of(rows, version="animus.parameters.v1")


def is_parameter_name(name: str) -> bool:
    """Say whether a name may be injected into a notebook."""
    return bool(BINDING_NAME.fullmatch(name)) and not keyword.iskeyword(name) and not name.startswith("__")


def secret_rule(name: str, value: Any) -> str | None:
    """Name the rule by which a parameter looks like a credential, or None.

    Args:
        name: The parameter's name.
        value: Its value; strings inside arrays and objects are looked at too.
    """
    if SECRET_NAME.search(name) and isinstance(value, str) and value:
        return "credential_name"
    if isinstance(value, str):
        return next((rule for rule, pattern in SECRET_VALUES.items() if pattern.search(value)), None)
    if isinstance(value, dict):
        return next(filter(None, (secret_rule(str(key), item) for key, item in value.items())), None)
    if isinstance(value, list):
        return next(filter(None, (secret_rule("", item) for item in value)), None)
    return None


def value_fault(parameter: Parameter, value: Any) -> str | None:
    """Say what is wrong with a value, in words, or None when it is accepted."""
    if value is None:
        return None if parameter.nullable or parameter.type is ParameterType.ANY else "must not be null"
    expected = PYTHON_TYPES[parameter.type]
    is_misused_boolean = isinstance(value, bool) and not {bool, object} & set(expected)
    if is_misused_boolean or not isinstance(value, expected):
        return f"must be of type {parameter.type}, not {type(value).__name__} {_shown(value)}"
    if isinstance(value, float) and not math.isfinite(value):
        return "must be finite"
    if parameter.choices and not any(type(value) is type(choice) and value == choice for choice in parameter.choices):
        return f"must be one of {', '.join(map(repr, parameter.choices))}, not {_shown(value)}"
    if isinstance(value, int | float):
        if parameter.minimum is not None and value < parameter.minimum:
            return f"must be at least {parameter.minimum}, not {_shown(value)}"
        if parameter.maximum is not None and value > parameter.maximum:
            return f"must be at most {parameter.maximum}, not {_shown(value)}"
    return None


def parameter_faults(schema: list[Parameter], values: dict[str, Any]) -> list[Fault]:
    """Check values against a schema.

    Args:
        schema: What the notebook declares.
        values: What the submitter gives.

    Returns:
        Every fault found, each with the path of the value; empty when the values are accepted.
    """
    declared = {parameter.name: parameter for parameter in schema}
    faults = [
        Fault(path=f"$.parameters_schema.{name}", code="invalid_name", message=f"{name!r} cannot be a parameter's name")
        for name in declared
        if not is_parameter_name(name)
    ]
    for name, value in values.items():
        path = f"$.parameters.{name}"
        if not is_parameter_name(name):
            message = f"{name[:80]!r} cannot be a parameter's name; use letters, digits and underscores"
            faults.append(Fault(path="$.parameters", code="invalid_name", message=message))
        elif name not in declared:
            known = ", ".join(sorted(declared)) or "none"
            message = f"the notebook declares no parameter {name!r}; it declares: {known}"
            faults.append(Fault(path=path, code="undeclared", message=message))
        elif len(msgspec.json.encode(value)) > MAX_VALUE_BYTES:
            message = f"{name} must be at most {MAX_VALUE_BYTES} bytes of JSON"
            faults.append(Fault(path=path, code="too_large", message=message))
        elif fault := value_fault(declared[name], value):
            faults.append(Fault(path=path, code="wrong_value", message=f"{name} {fault}"))
    faults.extend(
        Fault(path=f"$.parameters.{name}", code="missing", message=f"{name} is required: the notebook has no default")
        for name, parameter in declared.items()
        if parameter.required and name not in values
    )
    return faults


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 3] + "..."
