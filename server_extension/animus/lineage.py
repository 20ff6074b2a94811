# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run was made from and what it made, drawn: sources on the left, the run between, products on the right.

Two drawings of the same thing, lines for a shell and SVG for a notebook; in both, names are text and nothing else.
"""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from animus.story import plain
from animus_contracts.explanations import Explanation

ROW, BOX_WIDTH, BOX_HEIGHT, GAP = 34, 250, 26, 70
SHOWN_CHARACTERS = 36


def sources_of(story: Explanation) -> list[str]:
    """Return what the run was made from."""
    run = story.run
    found = [f"dataset {bound.dataset}@{bound.ordinal} as {bound.name}" for bound in run.datasets]
    found += [f"artifact {made.artifact} as {made.name}" for made in run.artifacts]
    return [*found, f"commit {run.code.commit[:12]} of {run.code.path}", f"environment {story.lock.environment}"]


def products_of(story: Explanation) -> list[str]:
    """Return what the run made."""
    return [made.name for made in story.artifacts]


def as_lines(story: Explanation) -> Iterator[str]:
    """Yield the lines of the drawing for a shell."""
    sources, products = sources_of(story), products_of(story)
    width = max(map(len, sources))
    for index, source in enumerate(sources):
        yield f"{source} {'─' * (width - len(source))}──{'┤' if index else '┐'}"
    indent = " " * (width + 3)
    yield f"{indent}└─▶ run {story.run.run_id} ({story.run.state})"
    for index, product in enumerate(products):
        yield f"{indent}      {'└' if index == len(products) - 1 else '├'}─▶ {product}"


def as_svg(story: Explanation) -> str:
    """Return the drawing for a notebook."""
    sources, products = sources_of(story), products_of(story)
    rows = max(len(sources), len(products), 1)
    middle = rows * ROW / 2
    left, centre, right = 0, BOX_WIDTH + GAP, 2 * (BOX_WIDTH + GAP)
    parts = [_box(centre, middle, f"run ({story.run.state})", "#1565c0")]
    parts += _column(sources, left, rows, (left + BOX_WIDTH, centre), middle, "#616161")
    parts += _column(products, right, rows, (right, centre + BOX_WIDTH), middle, "#2e7d32")
    width, height = right + BOX_WIDTH, rows * ROW
    return (
        f"<svg class='animus-lineage' xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' "
        f"width='{width}' height='{height}' style='max-width:100%;font:12px sans-serif'>{''.join(parts)}</svg>"
    )


def _column(
    names: Sequence[str], x: int, rows: int, ends: tuple[int, int], middle: float, colour: str
) -> Iterator[str]:
    offset = (rows - len(names)) * ROW / 2
    for index, name in enumerate(names):
        y = offset + index * ROW + ROW / 2
        start, end = ends
        bend = (start + end) / 2
        path = f"M{start} {y} C{bend} {y} {bend} {middle} {end} {middle}"
        yield f"<path d='{path}' fill='none' stroke='#9e9e9e'/>"
        yield _box(x, y, name, colour)


def _box(x: int, y: float, name: str, colour: str) -> str:
    name = plain(name)
    told = html.escape(name)
    short = name if len(name) <= SHOWN_CHARACTERS else f"{name[: SHOWN_CHARACTERS - 1]}…"
    top = y - BOX_HEIGHT / 2
    return (
        f"<rect x='{x + 0.5}' y='{top}' width='{BOX_WIDTH - 1}' height='{BOX_HEIGHT}' rx='4' "
        f"fill='none' stroke='{colour}'/>"
        f"<text x='{x + 10}' y='{y + 4}' fill='currentColor'>{html.escape(short)}<title>{told}</title></text>"
    )
