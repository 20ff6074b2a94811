# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The comparison as a whole: every artifact, every cell, the verdict and its causes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.comparisons import (
    ArtifactComparison,
    CellComparison,
    ComparedFile,
    ComparedRun,
    ComparisonRequest,
    Match,
    OutputComparison,
)
from animus_contracts.input_differences import input_differences
from animus_runner.comparison.appearance import Appearance, appearance_of
from animus_runner.comparison.artifacts import compare_artifacts
from animus_runner.comparison.causes import Difference, find_causes
from animus_runner.comparison.cells import Pair, compare_cells, is_difference
from animus_runner.comparison.code_scan import scan
from animus_runner.comparison.diffs import cell_diff
from animus_runner.comparison.findings import ORDER
from animus_runner.comparison.normalisation import Cell, normalised_cells

MAX_NOTEBOOK = 256 << 20
MAX_TOLD = 50
MAX_DIFFS = 10
MAX_LOOKED_AT = 1 << 20


def compare(request: ComparisonRequest) -> OutputComparison:
    """Compare what two runs produced."""
    left, right, tolerances = request.left, request.right, request.tolerances
    notes: list[str] = []
    cells, other_cells = (_cells(side, which, notes) for side, which in ((left, "left"), (right, "right")))
    pairs = compare_cells(cells or [], other_cells or [], tolerances) if None not in (cells, other_cells) else []
    artifacts = compare_artifacts(left.artifacts, right.artifacts, tolerances)
    notes += _endings(left, right)
    matches = [pair.finding.match for pair in pairs] + [artifact.match for artifact in artifacts]
    verdict = max([*matches, _of_whole(request, cells, other_cells)], key=ORDER.__getitem__)
    differing = [pair for pair in pairs if pair.finding.match is not Match.IDENTICAL]
    steps = scan(cells or other_cells or [], is_seeded=left.facts.run.seed is not None)
    inputs = input_differences(left.facts, right.facts)
    causes = find_causes(inputs, steps, _first_difference(pairs, artifacts, request))
    return OutputComparison(
        verdict=verdict,
        artifacts=artifacts,
        cells=[_told(pair, has_diff=number < MAX_DIFFS) for number, pair in enumerate(differing[:MAX_TOLD])],
        cells_compared=len(pairs),
        cells_identical=len(pairs) - len(differing),
        cells_equivalent=sum(pair.finding.match is Match.EQUIVALENT for pair in differing),
        first_differing_cell=next((pair.cell.index for pair in differing if is_difference(pair.finding)), None),
        causes=[] if verdict is Match.IDENTICAL else causes,
        tolerances=tolerances,
        notes=notes,
    )


def _of_whole(request: ComparisonRequest, cells: list[Cell] | None, other_cells: list[Cell] | None) -> Match:
    """Return how alike two runs are before anything they produced is looked at: how they ended, whether they can be."""
    if (cells is None) is not (other_cells is None) or _ending(request.left) != _ending(request.right):
        return Match.DIFFERENT
    return Match.INCOMPARABLE if cells is None else Match.IDENTICAL


def _cells(side: ComparedRun, which: str, notes: list[str]) -> list[Cell] | None:
    """Read a run's executed notebook; None, with a note, when there is none that can be read."""
    notebook = next((file for file in side.artifacts if file.entry.kind is ArtifactKind.NOTEBOOK), None)
    if notebook is None:
        notes.append(f"The {which} run left no notebook.")
    elif notebook.path is None:
        notes.append(f"The {which} run's notebook is gone.")
    elif notebook.entry.size_bytes > MAX_NOTEBOOK:
        notes.append(f"The {which} run's notebook is larger than {MAX_NOTEBOOK >> 20} MiB.")
    else:
        try:
            content: Any = json.loads(Path(notebook.path).read_bytes())
            return normalised_cells(content if isinstance(content, dict) else {}, side.facts.run.run_id)
        except (ValueError, RecursionError, MemoryError) as error:
            notes.append(f"The {which} run's notebook cannot be read: {type(error).__name__}.")
    return None


def _endings(left: ComparedRun, right: ComparedRun) -> list[str]:
    ends = [_ending(side) for side in (left, right)]
    if ends[0] != ends[1]:
        return [f"The left run {ends[0]}, the right run {ends[1]}."]
    return [f"Both runs {ends[0]}; what was produced until then was compared."] if left.facts.run.failure else []


def _ending(side: ComparedRun) -> str:
    run = side.facts.run
    return f"{run.state.value} ({run.failure.reason.value})" if run.failure else run.state.value


def _told(pair: Pair, *, has_diff: bool) -> CellComparison:
    try:
        diff = cell_diff(pair.left, pair.right) if has_diff else ""
    except RecursionError:
        diff = "[too deep to be shown]"
    return CellComparison(
        cell_index=pair.cell.index,
        cell_id=pair.cell.cell_id,
        match=pair.finding.match,
        detail=pair.finding.detail,
        diff=diff,
        largest_relative_difference=pair.finding.relative,
        largest_absolute_difference=pair.finding.absolute,
    )


def _first_difference(pairs: list[Pair], artifacts: list[ArtifactComparison], request: ComparisonRequest) -> Difference:
    """Return the first cell that differs; else the first that is only equivalent; else the first artifact."""
    places = sorted(
        (not is_difference(pair.finding), place)
        for place, pair in enumerate(pairs)
        if pair.finding.match is not Match.IDENTICAL
    )
    if places:
        pair = pairs[places[0][1]]
        place = sum(one.left is not None for one in pairs[: places[0][1]])
        looks = appearance_of(*(_written(cell) for cell in (pair.left, pair.right)))
        return Difference(place=place, cell_index=pair.cell.index, appearance=looks, relative=pair.finding.relative)
    changed = sorted(
        (artifact for artifact in artifacts if artifact.match is not Match.IDENTICAL),
        key=lambda artifact: -ORDER[artifact.match],
    )
    if not changed:
        return Difference()
    name = changed[0].name
    looks = _look(*(_file(side.artifacts, name) for side in (request.left, request.right)))
    return Difference(name=name, appearance=looks, relative=changed[0].largest_relative_difference)


def _written(cell: Cell | None) -> str:
    """Return the text of a cell's outputs; pictures say nothing."""
    if cell is None:
        return ""
    parts: list[str] = []
    for output in cell.outputs:
        parts += [output.get("text", ""), output.get("evalue", "")]
        data = output.get("data", {})
        parts += [value for kind, value in data.items() if kind.startswith("text/") and isinstance(value, str)]
    return "\n".join(parts)


def _file(artifacts: list[ComparedFile], name: str) -> ComparedFile | None:
    return next((file for file in artifacts if file.entry.name == name), None)


def _look(left: ComparedFile | None, right: ComparedFile | None) -> Appearance:
    """Look at two files as texts; of what is no text, nothing can be seen."""
    if left is None or right is None or left.path is None or right.path is None:
        return Appearance()
    try:
        texts = []
        for path in (left.path, right.path):
            with Path(path).open(encoding="utf-8") as file:
                texts.append(file.read(MAX_LOOKED_AT))
        return appearance_of(*texts)
    except UnicodeDecodeError:
        return Appearance()
