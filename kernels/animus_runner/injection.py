# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Parameters enter a notebook as data: one literal that is decoded inside, never names or values spelled as code.

Everything else follows papermill's conventions: the cell's tag and place, and the notebook's metadata.
"""

from __future__ import annotations

import json
from typing import Any

from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from animus_contracts.digests import Digest
from animus_contracts.parameter_cells import PARAMETERS_TAG, ParameterCellError, read_parameters
from animus_contracts.parameters import Parameter, parameter_faults, schema_digest
from animus_contracts.runs import FailureReason
from animus_runner.exits import FailedError

INJECTED_TAG = "injected-parameters"


def declared(notebook: NotebookNode) -> list[Parameter]:
    """Return what a notebook declares.

    Raises:
        FailedError: As input, when its parameters cell cannot be read.
    """
    try:
        return read_parameters(notebook)
    except ParameterCellError as error:
        remedy = "Give the parameters literal defaults, commit, and submit again."
        raise FailedError(
            FailureReason.INPUT, f"The parameters cell cannot be read: {error}.", remedy=remedy
        ) from error


def verify_parameters(notebook: NotebookNode, values: dict[str, Any], bound_schema: Digest) -> None:
    """Check that a notebook declares what was bound at submission, and that the values fit it.

    Raises:
        FailedError: As input, when they do not.
    """
    schema = declared(notebook)
    if schema_digest(schema) != bound_schema:
        raise FailedError(
            FailureReason.INPUT,
            "The notebook at the commit declares other parameters than the submission did.",
            detail=f"At the commit it declares: {', '.join(parameter.name for parameter in schema) or 'none'}.",
            remedy="Commit the notebook as it is to run, and submit that commit.",
        )
    if faults := parameter_faults(schema, values):
        raise FailedError(
            FailureReason.INPUT,
            "The parameters do not fit the notebook.",
            detail="\n".join(f"{fault.path}: {fault.message}" for fault in faults),
            remedy="Submit values of the declared types.",
        )


def inject(notebook: NotebookNode, values: dict[str, Any]) -> None:
    """Put a cell that sets the values behind the ``parameters`` cell, replacing one that is there already."""
    if not values:
        return
    cell = new_code_cell(source=assignment_source(values), metadata={"tags": [INJECTED_TAG], "papermill": {}})
    injected, declared = (_tagged(notebook, tag) for tag in (INJECTED_TAG, PARAMETERS_TAG))
    if injected is not None:
        notebook.cells[injected] = cell
    else:
        notebook.cells.insert(0 if declared is None else declared + 1, cell)
    notebook.metadata.papermill["parameters"] = values


def assignment_source(values: dict[str, Any]) -> str:
    """Return Python that sets global names from one ASCII literal, whatever the names and values contain."""
    literal = repr(json.dumps(values, allow_nan=False))
    return f'# Parameters\nglobals().update(__import__("json").loads({literal}))'


def _tagged(notebook: NotebookNode, tag: str) -> int | None:
    return next(
        (
            index
            for index, cell in enumerate(notebook.cells)
            if cell.cell_type == "code" and tag in cell.metadata.get("tags", ())
        ),
        None,
    )
