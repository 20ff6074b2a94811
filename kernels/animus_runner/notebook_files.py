# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A notebook on disk: checked once when it is read, and written whole or not at all."""

from __future__ import annotations

import copy
import json
import os
from importlib.metadata import version
from pathlib import Path

import msgspec
import nbformat
from nbformat import NotebookNode
from nbformat.v4.nbjson import BytesEncoder
from nbformat.v4.rwbase import split_lines, strip_transient

from animus_contracts.runs import FailureReason
from animus_runner.exits import FailedError
from animus_runner.git_objects import Checkout

NOTEBOOK_FORMAT = 4
PAPERMILL = version("papermill")
NOT_A_NOTEBOOK = (
    AttributeError,
    KeyError,
    nbformat.ValidationError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)
"""What nbformat raises for a file of another shape; it has no error of its own for it."""

nbformat.validate(nbformat.v4.new_notebook())  # compiles the schema once, before any run is forked


def find(checkout: Checkout, path: str) -> Path:
    """Return where a commit's notebook was written.

    Raises:
        FailedError: As input, when the commit has no such file, or only a link.
    """
    notebook = checkout.folder / path
    is_inside = notebook.resolve().is_relative_to(checkout.folder.resolve())
    if is_inside and notebook.is_file() and path not in checkout.links:
        return notebook
    raise FailedError(
        FailureReason.INPUT,
        f"The commit has no notebook {path!r}.",
        remedy="Commit the notebook, push, and submit the new commit.",
    )


def load(path: Path) -> NotebookNode:
    """Read a notebook and give it papermill's metadata.

    Raises:
        FailedError: As input, when the file is not a notebook, or not one in Python.
    """
    try:
        notebook = nbformat.convert(nbformat.reader.reads(path.read_text(encoding="utf-8")), NOTEBOOK_FORMAT)
        notebook = nbformat.v4.upgrade(notebook) or notebook
        nbformat.validate(notebook)
    except NOT_A_NOTEBOOK as error:
        summary = f"{path.name} is not a notebook that can be read."
        remedy = "Open it in JupyterLab, save it, commit, and submit again."
        raise FailedError(FailureReason.INPUT, summary, detail=str(error)[:2000], remedy=remedy) from error
    language = notebook.metadata.get("kernelspec", {}).get("language") or "python"
    if language.lower() != "python":
        summary = f"{path.name} is a notebook in {language}; only Python notebooks can be run."
        raise FailedError(FailureReason.INPUT, summary, remedy="Choose a Python kernel for it.")
    return _prepared(notebook)


def _prepared(notebook: NotebookNode) -> NotebookNode:
    # papermill itself is not imported: it imports our engine, and that imports this module.
    if "papermill" not in notebook.metadata:
        notebook.metadata["papermill"] = NotebookNode(
            default_parameters={}, parameters={}, environment_variables={}, version=PAPERMILL
        )
    for cell in notebook.cells:
        cell.metadata.setdefault("tags", [])
        cell.metadata.setdefault("papermill", NotebookNode())
    return notebook


def save(notebook: NotebookNode, path: Path) -> None:
    """Write a notebook in one step; a reader sees the old one or the new one."""
    text = _written(notebook) + "\n"
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8")
    os.replace(partial, path)  # noqa: PTH105 - the verb of an atomic step


def _written(notebook: NotebookNode) -> str:
    """Return the same text as nbformat: Python's encoder takes many times as long when it is to indent as well."""
    content = strip_transient(split_lines(copy.deepcopy(notebook)))
    try:
        return msgspec.json.format(json.dumps(content, cls=BytesEncoder, sort_keys=True, ensure_ascii=False), indent=1)
    except msgspec.DecodeError:  # a number that is none: only Python reads and writes it
        return str(nbformat.v4.writes(notebook))
