# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Which values a parameter takes, over the full product of types and values, and what every refusal says."""

from __future__ import annotations

import keyword
from typing import Any

import pytest

from animus_contracts.parameters import (
    MAX_SHOWN,
    MAX_VALUE_BYTES,
    Parameter,
    ParameterType,
    is_parameter_name,
    parameter_faults,
    schema_digest,
    value_fault,
)

VALUES: dict[str, Any] = {
    "null": None, "true": True, "int": 3, "huge int": 2**70, "float": 2.5, "whole float": 3.0, "text": "a",
    "list": [1], "object": {"a": 1}, "nan": float("nan"), "infinity": float("inf"),
}  # fmt: skip
ACCEPTED: dict[ParameterType, set[str]] = {
    ParameterType.INTEGER: {"int", "huge int"},
    ParameterType.NUMBER: {"int", "huge int", "float", "whole float"},
    ParameterType.STRING: {"text"},
    ParameterType.BOOLEAN: {"true"},
    ParameterType.ARRAY: {"list"},
    ParameterType.OBJECT: {"object"},
    ParameterType.ANY: set(VALUES) - {"nan", "infinity"},
}


@pytest.mark.parametrize("value", VALUES)
@pytest.mark.parametrize("kind", ParameterType)
def test_type_accepts_exactly_its_values(kind: ParameterType, value: str) -> None:
    fault = value_fault(Parameter(name="p", type=kind), VALUES[value])

    assert (fault is None) == (value in ACCEPTED[kind])


@pytest.mark.parametrize("kind", ParameterType)
def test_nullable_parameter_accepts_null(kind: ParameterType) -> None:
    assert value_fault(Parameter(name="p", type=kind, nullable=True), None) is None


@pytest.mark.parametrize(
    ("value", "is_accepted"),
    [(1, True), (10, True), (5.5, True), (0, False), (11, False), (10.000001, False), (0.999999, False)],
)
def test_range_includes_its_ends(value: float, is_accepted: bool) -> None:
    fault = value_fault(Parameter(name="p", type=ParameterType.NUMBER, minimum=1, maximum=10), value)

    assert (fault is None) == is_accepted


@pytest.mark.parametrize(("value", "is_accepted"), [("gini", True), ("Gini", False), ("", False)])
def test_only_a_declared_choice_is_accepted(value: str, is_accepted: bool) -> None:
    parameter = Parameter(name="p", type=ParameterType.STRING, choices=["gini", "entropy"])

    assert (value_fault(parameter, value) is None) == is_accepted


def test_choice_one_is_not_true() -> None:
    parameter = Parameter(name="p", choices=[1, 2])

    assert value_fault(parameter, 1) is None
    assert value_fault(parameter, value=True) is not None
    assert value_fault(parameter, 1.0) is not None


def test_refusal_names_what_was_expected_and_what_was_found() -> None:
    parameter = Parameter(name="depth", type=ParameterType.INTEGER)

    assert value_fault(parameter, "four") == "must be of type integer, not str 'four'"


def test_refusal_repeats_only_the_beginning_of_a_long_value() -> None:
    fault = value_fault(Parameter(name="p", type=ParameterType.INTEGER), "x" * 10_000)

    assert fault is not None
    assert len(fault) < MAX_SHOWN + 40


HOSTILE = ["", " ", "a b", "a;b", "a=1", "a\nb", "x\u0000", "__builtins__", "__class__", "1a", "a-b", "a.b", "a[0]",
           "é", "\uff41", "a" * 65, "import os", "'", '"', "a\u202eb", "$(id)", "../x", *keyword.kwlist]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_name_is_refused_by_schema_and_by_value(name: str) -> None:
    assert not is_parameter_name(name)
    assert parameter_faults([Parameter(name=name)], {name: 1}) != []
    assert "invalid_name" in {fault.code for fault in parameter_faults([], {name: 1})}


@pytest.mark.parametrize("name", ["a", "depth", "max_tokens", "_x", "A1", "match", "type", "a" * 64])
def test_ordinary_name_is_accepted(name: str) -> None:
    assert is_parameter_name(name)
    assert parameter_faults([Parameter(name=name)], {name: 1}) == []


def test_every_fault_is_reported_at_once_each_at_its_place() -> None:
    schema = [
        Parameter(name="depth", type=ParameterType.INTEGER, required=True),
        Parameter(name="rate", type=ParameterType.NUMBER, maximum=1),
        Parameter(name="note"),
    ]
    values = {"rate": 2, "note": "x" * MAX_VALUE_BYTES, "colour": "red"}

    faults = parameter_faults(schema, values)

    assert {(fault.path, fault.code) for fault in faults} == {
        ("$.parameters.depth", "missing"),
        ("$.parameters.rate", "wrong_value"),
        ("$.parameters.note", "too_large"),
        ("$.parameters.colour", "undeclared"),
    }


def test_schema_digest_ignores_order_and_sees_every_field() -> None:
    first = Parameter(name="a", type=ParameterType.INTEGER, default=1)
    second = Parameter(name="b", type=ParameterType.NUMBER, default=1)
    changed = [
        Parameter(name="c", type=ParameterType.INTEGER, default=1),
        Parameter(name="a", type=ParameterType.NUMBER, default=1),
        Parameter(name="a", type=ParameterType.INTEGER, default=1.0),
        Parameter(name="a", type=ParameterType.INTEGER, default=1, nullable=True),
        Parameter(name="a", type=ParameterType.INTEGER, default=1, required=True),
        Parameter(name="a", type=ParameterType.INTEGER, default=1, choices=[1]),
        Parameter(name="a", type=ParameterType.INTEGER, default=1, minimum=1),
        Parameter(name="a", type=ParameterType.INTEGER, default=1, maximum=1),
    ]

    assert schema_digest([first, second]) == schema_digest([second, first])
    assert len({schema_digest([one]) for one in [first, *changed]}) == len(changed) + 1
