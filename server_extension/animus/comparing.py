# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two runs compared, readable: the verdict, why, where it shows first, and what they were made from differently.

Every sentence is taken from the record; nothing is concluded here. Cells are counted from 1, as people do.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from animus_contracts.answers import AnswerState
from animus_contracts.comparisons import CellComparison, Comparison, Match, OutputComparison

if TYPE_CHECKING:
    from animus.narrative import Section

AGREES = frozenset({Match.IDENTICAL, Match.EQUIVALENT})
SHOWN_CELLS = 3
MAX_DIFF_LINES = 40


def agrees(comparison: Comparison) -> bool:
    """Say whether two runs produced the same, within their tolerances."""
    return comparison.outputs is not None and comparison.outputs.verdict in AGREES


def sections(comparison: Comparison) -> Iterator[Section]:
    """Yield what is to be told of a comparison, each part a title and its lines."""
    yield verdict_of(comparison), list(_summary(comparison))
    if comparison.inputs:
        yield (
            "Made from differently",
            [f"{each.field}: {_or_nothing(each.left)} → {_or_nothing(each.right)}" for each in comparison.inputs],
        )
    if comparison.outputs is not None:
        yield from _outputs(comparison.outputs)
    if any(each.left != each.right for each in comparison.metrics):
        yield "Measured", [f"{each.name}: {_number(each.left)} → {_number(each.right)}" for each in comparison.metrics]
    yield (
        "Took",
        [f"{each.name}: {_seconds(each.left_seconds)} → {_seconds(each.right_seconds)}" for each in comparison.timings],
    )


def verdict_of(comparison: Comparison) -> str:
    """Return the verdict in a word or two."""
    if comparison.outputs is not None:
        return f"Verdict: {comparison.outputs.verdict}"
    return "No verdict" if comparison.state is AnswerState.FAILED else "No verdict yet"


def in_one_line(comparison: Comparison) -> str:
    """Return a comparison as one line of a list."""
    causes = comparison.outputs.causes if comparison.outputs else []
    why = f" ({causes[0].kind})" if causes else ""
    kind = "replay verified" if comparison.verifies else "compared"
    verdict = verdict_of(comparison).removeprefix("Verdict: ")
    return f"{kind}: {comparison.left_run_id} and {comparison.right_run_id}: {verdict}{why}"


def _summary(comparison: Comparison) -> Iterator[str]:
    yield f"{comparison.left_run_id} and {comparison.right_run_id}"
    if comparison.failure:
        yield f"nobody could compare them: {comparison.failure}"
    outputs = comparison.outputs
    if outputs is None:
        return
    if outputs.cells_compared:
        yield f"{outputs.cells_identical} of {outputs.cells_compared} cells identical" + (
            f", {outputs.cells_equivalent} within tolerances" if outputs.cells_equivalent else ""
        )
    if outputs.first_differing_cell is not None:
        yield f"first different cell: {outputs.first_differing_cell + 1}"
    for cause in outputs.causes:
        place = f"cell {cause.cell_index + 1}" if cause.cell_index is not None else ""
        place += f", line {cause.line}" if cause.line is not None else ""
        yield f"{cause.confidence} cause: {cause.kind}" + (f" in {place}" if place else "") + f": {cause.evidence}"
    yield from (f"note: {note}" for note in outputs.notes)


def _outputs(outputs: OutputComparison) -> Iterator[Section]:
    for cell in outputs.cells[:SHOWN_CELLS]:
        yield _title(cell), [*([cell.detail] if cell.detail else []), *cell.diff.splitlines()[:MAX_DIFF_LINES]]
    if len(outputs.cells) > SHOWN_CELLS:
        yield "More", [f"{_title(cell)}: {cell.detail}" for cell in outputs.cells[SHOWN_CELLS:]]
    if outputs.artifacts:
        yield (
            "Artifacts",
            [f"{each.name}: {each.match}" + (f" ({each.detail})" if each.detail else "") for each in outputs.artifacts],
        )


def _title(cell: CellComparison) -> str:
    name = f"Cell {cell.cell_index + 1}" if cell.cell_index is not None else "Injected parameters"
    return f"{name}: {cell.match}"


def _or_nothing(value: str | None) -> str:
    return "nothing" if value is None else value


def _number(value: float | None) -> str:
    return "nothing" if value is None else f"{value:.6g}"


def _seconds(value: float | None) -> str:
    return "never" if value is None else f"{value:.1f} s"
