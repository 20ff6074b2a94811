# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a person sees of a cell that differs: nbdime's diff of the two cells, cut before and after to what is read."""

from __future__ import annotations

import io
from typing import Any

from animus_runner.comparison.normalisation import Cell
from animus_runner.comparison.texts import shared_lines

MAX_TEXT = 8 << 10
MAX_OUTPUTS = 20
CONTEXT = 300
MAX_DIFF = 8 << 10
HEADER_LINES = 3


def cell_diff(left: Cell | None, right: Cell | None) -> str:
    """Return the diff of two cells as plain text; bounded, because outputs are anybody's."""
    import nbdime  # noqa: PLC0415 - a second of work that only a difference is worth
    from nbdime.prettyprint import PrettyPrintConfig, pretty_print_notebook_diff  # noqa: PLC0415

    ours, theirs = _beginnings_cut(left, right)
    told = io.StringIO()
    settings = PrettyPrintConfig(out=told, use_git=False, use_diff=False, use_color=False)
    pretty_print_notebook_diff("left", "right", ours, nbdime.diff_notebooks(ours, theirs), settings)
    text = told.getvalue().split("\n", HEADER_LINES)[-1].strip("\n")
    return text if len(text) <= MAX_DIFF else f"{text[:MAX_DIFF]}\n[the diff goes on]"


def _beginnings_cut(left: Cell | None, right: Cell | None) -> tuple[Any, Any]:
    """Return two notebooks of one cell each, without what is alike at the beginning of long texts."""
    outputs = [list(cell.outputs[:MAX_OUTPUTS]) if cell else [] for cell in (left, right)]
    for place, (ours, theirs) in enumerate(zip(*outputs, strict=False)):
        if ours["output_type"] == theirs["output_type"] == "stream":
            start = max(0, shared_lines(ours["text"], theirs["text"]) - CONTEXT)
            outputs[0][place] = ours | {"text": ours["text"][start:]}
            outputs[1][place] = theirs | {"text": theirs["text"][start:]}
    return _notebook(left, outputs[0]), _notebook(right, outputs[1])


def _notebook(cell: Cell | None, outputs: list[dict[str, Any]]) -> Any:
    import nbformat  # noqa: PLC0415 - as above

    cells = []
    if cell is not None:
        shown = nbformat.from_dict([_cut(output) for output in outputs])
        cells.append(nbformat.v4.new_code_cell(_cut(cell.source), id="cell", outputs=shown))
    return nbformat.v4.new_notebook(cells=cells)


def _cut(value: Any) -> Any:
    if isinstance(value, str):
        return value if len(value) <= MAX_TEXT else f"{value[:MAX_TEXT]}\n[cut]"
    if isinstance(value, list):
        return [_cut(item) for item in value[:MAX_OUTPUTS]]
    if isinstance(value, dict):
        return {name: _cut(item) for name, item in list(value.items())[:MAX_OUTPUTS]}
    return value
