# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A file that is no Python notebook fails as input; a notebook is written whole."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbformat.v4 import new_output

from animus_contracts.runs import FailureReason
from animus_runner import notebook_files
from animus_runner.exits import FailedError
from tests.unit.runner.trials import notebook_of

NOT_NOTEBOOKS: dict[str, Any] = {
    "empty": "",
    "not JSON": "{",
    "a list": "[]",
    "a string": '"x"',
    "no cells": "{}",
    "a future format": '{"nbformat": 9, "nbformat_minor": 0, "cells": [], "metadata": {}}',
    "a cell that is none": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [1]}',
    "an unknown cell": '{"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [{"cell_type": "x"}]}',
    "very deep": "[" * 100_000,
    "in R": json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "cells": [],
            "metadata": {"kernelspec": {"name": "ir", "display_name": "R", "language": "R"}},
        }
    ),
}


@pytest.mark.parametrize("text", NOT_NOTEBOOKS.values(), ids=NOT_NOTEBOOKS)
def test_a_file_that_is_no_python_notebook_fails_as_input(tmp_path: Path, text: str) -> None:
    path = tmp_path / "n.ipynb"
    path.write_text(text)
    with pytest.raises(FailedError) as caught:
        notebook_files.load(path)
    assert caught.value.failure.reason is FailureReason.INPUT
    assert "n.ipynb" in caught.value.failure.summary


def test_a_missing_file_fails_as_input(tmp_path: Path) -> None:
    with pytest.raises(FailedError, match=r"n\.ipynb"):
        notebook_files.load(tmp_path / "n.ipynb")


def test_an_old_notebook_is_upgraded_and_gets_papermills_metadata(tmp_path: Path) -> None:
    path = tmp_path / "n.ipynb"
    old = {"cell_type": "code", "source": ["a = 1\n", "b"], "metadata": {}, "outputs": [], "execution_count": None}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 2, "metadata": {}, "cells": [old]}))
    notebook = notebook_files.load(path)
    assert notebook.cells[0].source == "a = 1\nb"
    assert notebook.cells[0].id
    assert notebook.cells[0].metadata == {"tags": [], "papermill": {}}
    assert set(notebook.metadata.papermill) == {"default_parameters", "parameters", "environment_variables", "version"}


def test_a_saved_notebook_reads_back_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    notebook = notebook_of("1")
    notebook_files.save(notebook, tmp_path / "n.ipynb")
    assert nbformat.read(tmp_path / "n.ipynb", 4) == notebook
    assert [path.name for path in tmp_path.iterdir()] == ["n.ipynb"]


WRITTEN: dict[str, Any] = {
    "lines and empty things": ("a\nb\n", {"text/plain": "", "application/json": {"b": [], "a": {}}}),
    "text of every kind": ('é\u2028\x7f😀"\\/', {"text/plain": "\x00\x1b[0m\t"}),
    "numbers": ("1", {"application/json": [0, -1, 2**70, 1e16, 1e-7, -0.0, 0.1, True, None]}),
    "numbers that are none": ("1", {"application/json": [float("nan"), float("inf")]}),
    "a picture": ("1", {"image/png": "aGk=\n", "text/html": "<b>\n</b>"}),
}


@pytest.mark.parametrize(("source", "data"), WRITTEN.values(), ids=WRITTEN)
def test_a_notebook_is_written_as_nbformat_writes_it(tmp_path: Path, source: str, data: dict[str, Any]) -> None:
    notebook = notebook_of(source, source)
    notebook.cells[1].outputs = [new_output("display_data", data), new_output("stream", text=source)]
    notebook.metadata["signature"] = "is transient"
    notebook_files.save(notebook, tmp_path / "n.ipynb")
    assert (tmp_path / "n.ipynb").read_text(encoding="utf-8") == nbformat.v4.writes(notebook) + "\n"
