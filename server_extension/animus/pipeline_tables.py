# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run as tables: its nodes, and for each sweep what went in beside what came out.

Columns of a sweep are the parameters in which its items differ, then every metric that any item has logged.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Any

import msgspec

from animus.pipeline_pictures import LOOKS, progress_of
from animus.story import plain
from animus_contracts.pipeline_runs import NodeRun, PipelineRun

Table = tuple[list[str], list[list[str]]]


class PipelineStory(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline run with the runs of its nodes."""

    run: PipelineRun
    nodes: list[NodeRun]


def as_text(story: PipelineStory) -> str:
    """Return a pipeline run as text for a shell."""
    return "\n\n".join([headline(story.run), *(_text(*table) for table in tables(story.nodes))])


def as_html(story: PipelineStory) -> str:
    """Return a pipeline run as HTML."""
    parts = "".join(html_table(*table) for table in tables(story.nodes))
    return f"<p>{html.escape(headline(story.run))}</p>{parts}"


def headline(run: PipelineRun) -> str:
    """Return a pipeline run in one line."""
    why = f": {run.reason}" if run.reason else ""
    repairs = f"  repairs {run.repairs}" if run.repairs else ""
    return plain(
        f"{run.name}  {run.pipeline_run_id}  {run.state}{why}  ({progress_of(run.counts)})  plan {run.plan_hash[:19]}…"
        f"{repairs}"
    )


def tables(nodes: Sequence[NodeRun]) -> list[Table]:
    """Return the table of all nodes, then one table for each sweep."""
    found = [_nodes(nodes)]
    for name, items in groupby(nodes, key=lambda row: row.node):
        rows = list(items)
        if rows[0].item is not None:
            found.append(sweep(name, rows))
    return found


def sweep(name: str, items: Sequence[NodeRun]) -> Table:
    """Return a sweep's results: item, parameters, state, metrics."""
    given = sorted({key for row in items for key in row.parameters})
    differing = [key for key in given if len({_value(row.parameters.get(key)) for row in items}) > 1]
    metrics = sorted({key for row in items for key in row.metrics})
    head = [name, *differing, "state", *metrics]
    body = [
        [
            str(row.item),
            *(_value(row.parameters[key]) if key in row.parameters else "" for key in differing),
            f"{LOOKS[row.state][0]} {row.state}",
            *(f"{row.metrics[key]:.6g}" if key in row.metrics else "" for key in metrics),
        ]
        for row in items
    ]
    return head, body


def html_table(head: Sequence[str], body: Iterable[Sequence[str]]) -> str:
    """Return a table as HTML."""
    top = "".join(f"<th>{html.escape(name)}</th>" for name in head)
    rows = "".join("<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>" for row in body)
    return f"<table class='animus-pipeline'><thead><tr>{top}</tr></thead><tbody>{rows}</tbody></table>"


def _nodes(nodes: Sequence[NodeRun]) -> Table:
    head = ["node", "item", "state", "run", "seconds", "metrics", "reason"]
    body = [
        [
            row.node,
            "" if row.item is None else str(row.item),
            f"{LOOKS[row.state][0]} {row.state}",
            row.run_id or "",
            f"{(row.ended_at - row.submitted_at).total_seconds():.1f}" if row.submitted_at and row.ended_at else "",
            ", ".join(f"{plain(name)}={value:.6g}" for name, value in row.metrics.items()) if row.item is None else "",
            " ".join(plain(row.reason).split()),
        ]
        for row in nodes
    ]
    used = [index for index in range(len(head)) if any(row[index] for row in body)]
    return [head[index] for index in used], [[row[index] for index in used] for row in body]


def _value(value: Any) -> str:
    return plain(value) if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(head: list[str], body: list[list[str]]) -> str:
    widths = [max(len(row[index]) for row in [head, *body]) for index in range(len(head))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [head, *body])
    return "\n".join(line.rstrip() for line in lines)
