# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters enter as data: whatever they contain, the injected cell does nothing but set the bound names."""

from __future__ import annotations

import ast
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from IPython.core.inputtransformer2 import TransformerManager

from animus_contracts.digests import Digest
from animus_contracts.parameter_cells import read_parameters
from animus_contracts.parameters import schema_digest
from animus_contracts.runs import FailureReason
from animus_runner.exits import FailedError
from animus_runner.injection import INJECTED_TAG, assignment_source, inject, verify_parameters
from tests.unit.runner.trials import NOT_BOUND, notebook_of, parameters_cell

HOSTILE = [
    "'); import os; os.system('touch /tmp/owned') #",
    '"""',
    "\\",
    "\\'",
    "\n!touch /tmp/owned\n",
    "%%bash\ntouch /tmp/owned",
    "?",
    "{x.__class__}",
    "\u2028\x00\x1b[2J\ud800",
    "$(touch /tmp/owned)",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def names_set_by(source: str) -> dict[str, Any]:
    transformed = TransformerManager().transform_cell(source)
    names: dict[str, Any] = {}
    exec(transformed, names)  # noqa: S102 - it is the subject of the test
    del names["__builtins__"]
    return names


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_value_stays_a_value(value: str) -> None:
    values = {"x": value, "y": [value], "z": {value: value}}
    assert names_set_by(assignment_source(values)) == values


@given(st.dictionaries(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), JSON, max_size=4))
def test_every_json_value_arrives_unchanged(values: dict[str, Any]) -> None:
    source = assignment_source(values)
    assert source.isascii()
    call = ast.parse(source).body
    assert len(call) == 1
    received = names_set_by(source)
    assert received == values
    assert [type(value) for value in received.values()] == [type(value) for value in values.values()]


def test_the_injected_cell_follows_the_parameters_cell_and_replaces_an_earlier_one() -> None:
    notebook = notebook_of("1", parameters_cell("depth = 4"), "depth")
    notebook.metadata["papermill"] = {}
    inject(notebook, {"depth": 5})
    inject(notebook, {"depth": 6})
    assert [cell.source for cell in notebook.cells] == ["1", "depth = 4", assignment_source({"depth": 6}), "depth"]
    assert notebook.cells[2].metadata.tags == [INJECTED_TAG]
    assert notebook.metadata.papermill == {"parameters": {"depth": 6}}


def test_without_values_nothing_is_injected() -> None:
    notebook = notebook_of(parameters_cell("depth = 4"))
    inject(notebook, {})
    assert len(notebook.cells) == 1


@pytest.mark.parametrize(
    ("source", "values", "bound", "summary"),
    [
        ("depth = 4", {}, NOT_BOUND, "declares other parameters"),
        ("depth = 4", {"depth": "5"}, None, "do not fit"),
        ("depth = 4", {"__builtins__": 1}, None, "do not fit"),
        ("depth = 4", {"other": 1}, None, "do not fit"),
        ("depth = 2 ** 2", {}, NOT_BOUND, "cannot be read"),
    ],
)
def test_what_was_not_bound_at_submission_fails_as_input(
    source: str, values: dict[str, Any], bound: Digest | None, summary: str
) -> None:
    notebook = notebook_of(parameters_cell(source))
    with pytest.raises(FailedError) as caught:
        verify_parameters(notebook, values, bound or schema_digest(read_parameters(notebook)))
    assert caught.value.failure.reason is FailureReason.INPUT
    assert summary in caught.value.failure.summary
    assert caught.value.failure.remedy
