# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a parameters cell declares is read from its text, and what cannot be read is refused with its place."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.parameter_cells import ParameterCellError, has_parameters_cell, read_parameters
from animus_contracts.parameters import Parameter, ParameterType


def notebook(source: str | list[str]) -> dict[str, Any]:
    return {
        "cells": [
            {"cell_type": "markdown", "source": "# Title", "metadata": {"tags": ["parameters"]}},
            {"cell_type": "code", "source": source, "metadata": {"tags": ["parameters"]}},
        ]
    }


T = ParameterType
DECLARATIONS = {
    "depth = 4": Parameter(name="depth", type=T.INTEGER, default=4),
    "rate = -0.5": Parameter(name="rate", type=T.NUMBER, default=-0.5),
    "name = 'a'": Parameter(name="name", type=T.STRING, default="a"),
    "flag = True": Parameter(name="flag", type=T.BOOLEAN, default=True),
    "maybe = None": Parameter(name="maybe", type=T.ANY, nullable=True),
    "xs = [1, (2, 'b')]": Parameter(name="xs", type=T.ARRAY, default=[1, [2, "b"]]),
    "o = {'k': {'j': None}}": Parameter(name="o", type=T.OBJECT, default={"k": {"j": None}}),
    "x: int": Parameter(name="x", type=T.INTEGER, required=True),
    "x: float = 1  # learning rate": Parameter(name="x", type=T.NUMBER, default=1, help="learning rate"),
    "x: int | None = None": Parameter(name="x", type=T.INTEGER, nullable=True),
    "x: None | str": Parameter(name="x", type=T.STRING, nullable=True, required=True),
    "x: Optional[float] = 2.5": Parameter(name="x", type=T.NUMBER, nullable=True, default=2.5),
    "x: typing.Optional['int'] = 2": Parameter(name="x", type=T.INTEGER, nullable=True, default=2),
    "x: Literal['a', 'b'] = 'b'": Parameter(name="x", type=T.STRING, choices=["a", "b"], default="b"),
    "x: Literal['a', 1, None]": Parameter(name="x", type=T.ANY, choices=["a", 1], nullable=True, required=True),
    "x: Annotated[int, (1, 10)] = 3": Parameter(name="x", type=T.INTEGER, minimum=1, maximum=10, default=3),
    "x: Annotated[int, (1, None), 'rounds'] = 3": Parameter(
        name="x", type=T.INTEGER, minimum=1, default=3, help="rounds"
    ),
    "x: Annotated[float, Ge(0), Le(1)] = 0.5": Parameter(name="x", type=T.NUMBER, minimum=0, maximum=1, default=0.5),
    "x: Annotated[float, at.Interval(ge=-1.5)] = 0.5": Parameter(name="x", type=T.NUMBER, minimum=-1.5, default=0.5),
    "x: list[int] = [1]": Parameter(name="x", type=T.ARRAY, default=[1]),
    "x: Dict[str, int] = {}": Parameter(name="x", type=T.OBJECT, default={}),
    "x: Any = 3": Parameter(name="x", type=T.ANY, default=3),
    "x: Path = 'a'": Parameter(name="x", type=T.STRING, default="a"),
    "x: pd.DataFrame": Parameter(name="x", type=T.ANY, required=True),
    "x: int | str = 'a'": Parameter(name="x", type=T.STRING, default="a"),
    "x = (\n 1\n) # after": Parameter(name="x", type=T.INTEGER, default=1, help="after"),
    "big = 123456789012345678901234567890": Parameter(
        name="big", type=T.INTEGER, default=123456789012345678901234567890
    ),
}

REFUSED = {
    "a, b = 1, 2": "by its plain name",
    "x = 10 ** -3": "computed",
    "x = __import__('os').system('true')": "computed",
    "x = f'{1}'": "computed",
    "x = b'bytes'": "computed",
    "x = {1: 2}": "strings",
    "x = {**{}}": "strings",
    "x = 1e999": "finite",
    "x: int = 'a'": "contradicts",
    "x: int = True": "contradicts",
    "x: Annotated[int, (1, 3)] = 4": "at most 3",
    "x: Annotated[int, Gt(1)] = 4": "no bound",
    "x: Annotated[int, ('a', 'b')] = 4": "no number",
    "x: Literal['a'] = 'b'": "one of",
    "x = 1\nx = 2": "line 2: x is declared twice",
    "__x = 1": "cannot be a parameter",
    "x.y = 1": "plain name",
    "def": "not Python",
    "%matplotlib inline": "not Python",
    "x = " + "[" * 300 + "]" * 300: "not Python",
    "x = " + "-" * 5000 + "1": "not",
    "#" * 300_000: "longer than",
}


@pytest.mark.parametrize(("source", "parameter"), DECLARATIONS.items(), ids=DECLARATIONS)
def test_a_declaration_is_read_as_it_is_meant(source: str, parameter: Parameter) -> None:
    assert read_parameters(notebook(source)) == [parameter]


@pytest.mark.parametrize(("source", "why"), REFUSED.items(), ids=[source[:30] for source in REFUSED])
def test_what_is_not_a_declaration_of_a_literal_is_refused_with_its_place(source: str, why: str) -> None:
    with pytest.raises(ParameterCellError, match=r"cell 1, line \d+: ") as caught:
        read_parameters(notebook(source))
    assert why in str(caught.value)


def test_lines_imports_and_docstrings_are_no_parameters_and_order_is_kept() -> None:
    source = ['"""Doc"""\n', "from typing import Literal\n", "b = 1\n", "a = b'x' if 0 else 1\n"]
    with pytest.raises(ParameterCellError, match="cell 1, line 4"):
        read_parameters(notebook(source))
    assert [parameter.name for parameter in read_parameters(notebook([*source[:3], "a = c = 2"]))] == ["b", "a", "c"]


def test_a_notebook_without_the_cell_declares_nothing() -> None:
    assert read_parameters({"cells": []}) == []
    assert not has_parameters_cell({})
    assert has_parameters_cell(notebook(""))
    assert read_parameters(notebook("")) == []


@given(st.text(max_size=200))
def test_no_text_makes_the_reader_fail_otherwise(text: str) -> None:
    with contextlib.suppress(ParameterCellError):
        read_parameters(notebook(text))
