# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Execute a notebook for real, in a folder of its own, with a kernel parent shared by the trials of a test file."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from animus_contracts.digests import Digest
from animus_contracts.environments import Resources
from animus_contracts.parameter_cells import read_parameters
from animus_contracts.parameters import schema_digest
from animus_contracts.run_events import ExecutionEvent
from animus_runner.execution import execute
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome


@dataclass(frozen=True, kw_only=True)
class Trial:
    """How a notebook went: its outcome, events with the time they were seen, executed notebook, seconds, folder."""

    outcome: Outcome
    events: list[tuple[float, ExecutionEvent]]
    notebook: NotebookNode | None
    seconds: float
    folder: Path

    def text(self) -> str:
        """What the last code cell that ran wrote to its standard output."""
        assert self.notebook is not None
        assert self.outcome.failure is None, self.outcome.failure
        outputs = [cell.outputs for cell in self.notebook.cells if cell.get("outputs")][-1]
        return "".join(output.text for output in outputs if output.get("name") == "stdout")


def notebook_of(*cells: str | NotebookNode) -> NotebookNode:
    made = [nbformat.v4.new_code_cell(cell) if isinstance(cell, str) else cell for cell in cells]
    return nbformat.v4.new_notebook(cells=made)


def parameters_cell(source: str) -> NotebookNode:
    return nbformat.v4.new_code_cell(source, metadata={"tags": ["parameters"]})


def assignment_for(folder: Path, notebook: NotebookNode, kernel_parent: str, **changes: Any) -> NotebookAssignment:
    for name in ("code", "inputs", "outputs", "scratch", "support"):
        (folder / name).mkdir(mode=0o755)
    nbformat.write(notebook, folder / "code/trial.ipynb")
    values: dict[str, Any] = {
        "run_id": "run-1",
        "notebook": folder / "code/trial.ipynb",
        "output": folder / "executed.ipynb",
        "log": folder / "kernel.log",
        "parameters": {},
        "parameters_schema_digest": schema_digest(read_parameters(notebook)),
        "python": Path(sys.executable),
        "kernel_parent": kernel_parent,
        "checkout": folder / "code",
        "inputs": folder / "inputs",
        "outputs": folder / "outputs",
        "scratch": folder / "scratch",
        "support": folder / "support",
        "resources": Resources(wall_seconds=60),
    }
    return NotebookAssignment(**values | changes)


def run_assignment(assignment: NotebookAssignment, folder: Path, cancel_after: float | None = None) -> Trial:
    events: list[tuple[float, ExecutionEvent]] = []
    with Cancellation() as canceled:
        timer = threading.Timer(cancel_after or 0, canceled.request)
        if cancel_after is not None:
            timer.start()
        began = time.monotonic()
        outcome = execute(assignment, lambda event: events.append((time.monotonic() - began, event)), canceled)
        seconds = time.monotonic() - began
        if cancel_after is not None:
            timer.join()
    notebook = nbformat.read(assignment.output, 4) if assignment.output.exists() else None
    return Trial(outcome=outcome, events=events, notebook=notebook, seconds=seconds, folder=folder)


def try_cells(
    folder: Path,
    kernel_parent: str,
    cells: Sequence[str | NotebookNode],
    cancel_after: float | None = None,
    **changes: Any,
) -> Trial:
    """Execute cells in a sandbox and report."""
    assignment = assignment_for(folder, notebook_of(*cells), kernel_parent, **changes)
    return run_assignment(assignment, folder, cancel_after)


NOT_BOUND = Digest("sha256:" + "0" * 64)
