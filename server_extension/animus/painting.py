# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run's picture as HTML for a notebook: pure, and everything that is not ours is escaped."""

from __future__ import annotations

import html
from collections.abc import Sequence
from datetime import datetime

from animus import comparing, narrative
from animus.story import Cell, Series, Story, plain
from animus.waiting import UNSTARTED
from animus_contracts.artifacts import Artifact
from animus_contracts.comparisons import Comparison, Match
from animus_contracts.runs import RunState

COLOURS: dict[RunState, str] = {
    RunState.SUCCEEDED: "#2e7d32",
    RunState.FAILED: "#c62828",
    RunState.CANCELED: "#8d6e63",
    RunState.RUNNING: "#1565c0",
    RunState.UNKNOWN: "#ef6c00",
    RunState.RECONCILING: "#ef6c00",
}
LINK = "color:var(--jp-content-link-color,#1565c0);text-decoration:underline"
WAITING = "#616161"
VERDICTS: dict[Match, str] = {
    Match.IDENTICAL: "#2e7d32",
    Match.EQUIVALENT: "#558b2f",
    Match.DIFFERENT: "#c62828",
    Match.INCOMPARABLE: "#ef6c00",
}
SHOWN_LINES = 12
BARS = "▁▂▃▄▅▆▇█"
SPARKS = 40
MAX_TRACEBACK = 6000


def header(story: Story, page: str, now: datetime) -> str:
    """Return state, notebook, duration and the way to the run's page."""
    colour = COLOURS.get(story.state, WAITING)
    return (
        f"<span class='animus-state' style='background:{colour};color:#fff;border-radius:3px;padding:1px 8px'>"
        f"{story.state}</span> <b>{_safe(story.title)}</b> {duration(story.seconds(now))} "
        f"<a style='{LINK}' href='{html.escape(page, quote=True)}' target='_blank' rel='noopener noreferrer'>"
        f"{_safe(story.run_id)}</a>"
    )


def position(story: Story, now: datetime) -> str:
    """Return where the run is: ``cell 3 of 8``, with the running cell's time."""
    if not story.cells_total:
        return "" if story.has_ended else _safe(story.approval)
    current = _running(story)
    if current is None or story.has_ended:
        return f"{story.cells_done} of {story.cells_total} cells"
    seconds = max(0.0, (now - current.started_at).total_seconds())
    return f"cell {current.index + 1} of {story.cells_total} · {duration(seconds)}"


def waiting(story: Story, reason: str) -> str:
    """Return why the run waits, as long as it does."""
    if not reason or story.state not in UNSTARTED:
        return ""
    return f"<span class='animus-waiting' style='color:{WAITING}'>{_safe(reason)}</span>"


def cells(story: Story) -> str:
    """Return one mark per executed cell; its title tells the time."""
    signs = {"ok": ("✓", "#2e7d32"), "error": ("✗", "#c62828"), "running": ("▶", "#1565c0")}
    marks = []
    for cell in sorted(story.cells.values(), key=lambda cell: cell.index):
        sign, colour = signs.get(cell.status, ("■", "#8d6e63"))
        told = f"cell {cell.index + 1}" + (f": {duration(cell.seconds)}" if cell.seconds is not None else "")
        marks.append(f"<span style='color:{colour}' title='{told}'>{sign}</span>")
    slowest = max(story.cells.values(), key=lambda cell: cell.seconds or 0.0, default=None)
    tail = ""
    if slowest and slowest.seconds and slowest.seconds >= 1:
        tail = f" <small>slowest: cell {slowest.index + 1}, {duration(slowest.seconds)}</small>"
    return "".join(marks) + tail


def metrics(story: Story) -> str:
    """Return a table of metrics: the last value, and how it went."""
    if not story.metrics:
        return ""
    rows = "".join(
        f"<tr><td>{_safe(name)}</td><td style='text-align:right'>{series.values[-1]:.6g}</td>"
        f"<td style='text-align:right'>{series.step}</td><td>{sparkline(series)}</td></tr>"
        for name, series in sorted(story.metrics.items())
    )
    head = "<tr><td><b>metric</b></td><td><b>value</b></td><td><b>step</b></td><td></td></tr>"
    return f"<table class='animus-metrics'>{head}{rows}</table>"


def log(story: Story) -> str:
    """Return the last lines the notebook wrote."""
    if not story.log:
        return ""
    text = _safe("\n".join(story.log[-SHOWN_LINES:]))
    return f"<pre class='animus-log' style='max-height:14em;overflow:auto;margin:0'>{text}</pre>"


def ending(story: Story, artifacts: Sequence[Artifact]) -> str:
    """Return what came out: artifacts with their digests, and the failure with its remedy."""
    parts = []
    if failure := story.failure:
        lines = [f"<b>{_safe(failure.summary)}</b>"]
        lines += [f"<code>{_safe(failure.exception)}</code>"] if failure.exception else []
        lines += [f"→ {_safe(failure.remedy)}"] if failure.remedy else []
        if failure.detail:
            told = _safe(failure.detail[-MAX_TRACEBACK:])
            lines.append(f"<details><summary>details</summary><pre>{told}</pre></details>")
        parts.append(
            "<div class='animus-failure' style='border-left:4px solid #c62828;padding:4px 10px'>"
            + "<br>".join(lines) + "</div>"
        )  # fmt: skip
    if artifacts:
        rows = "".join(
            f"<tr><td>{_safe(made.name)}</td><td>{made.kind}</td><td style='text-align:right'>{size(made.size_bytes)}"
            f"</td><td><code>{made.digest[:19]}…</code></td></tr>"
            for made in artifacts
        )
        parts.append(
            f"<table class='animus-artifacts'><tr><th>artifact</th><th></th><th></th><th></th></tr>{rows}</table>"
        )
    return "".join(parts)


def verdict(comparison: Comparison) -> str:
    """Return the verdict on a replay, and what there is to say of it."""
    colour = VERDICTS.get(comparison.outputs.verdict, WAITING) if comparison.outputs else WAITING
    told = narrative.sections_as_html(list(comparing.sections(comparison))[1:])
    return (
        f"<div class='animus-verdict' style='border-left:4px solid {colour};padding:4px 10px'>"
        f"<b>{_safe(comparing.verdict_of(comparison))}</b><details><summary>comparison</summary>{told}</details></div>"
    )


def sparkline(series: Series) -> str:
    """Return the last values of a series as a row of small bars; empty for a single value."""
    values = series.values[-SPARKS:]
    low, high = min(values), max(values)
    if len(values) < 2 or low == high:  # noqa: PLR2004  # one point is no line
        return ""
    return "".join(BARS[int((value - low) / (high - low) * (len(BARS) - 1))] for value in values)


def duration(seconds: float) -> str:
    """Return a duration for people: ``0.4 s``, ``12 s``, ``3:05 min``, ``1:02:03 h``."""
    if seconds < 10:  # noqa: PLR2004  # below, tenths are worth showing
        return f"{seconds:.1f} s"
    if seconds < 60:  # noqa: PLR2004  # a minute
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02}:{rest:02} h"  # noqa: PLR2004


def size(count: int) -> str:
    """Return a number of bytes for people."""
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:  # noqa: PLR2004  # the step between two units
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} TiB"


def _running(story: Story) -> Cell | None:
    return next((cell for cell in story.cells.values() if cell.seconds is None), None)


def _safe(text: str) -> str:
    return html.escape(plain(text), quote=True)
