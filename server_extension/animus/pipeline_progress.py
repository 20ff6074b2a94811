# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A pipeline run in the shell: one bar over all its runs, a line for each one that ended, the tables below."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from animus.client import Client
from animus.pipeline_pictures import LOOKS
from animus.pipeline_tables import PipelineStory, as_text
from animus.story import plain
from animus_contracts.pipeline_runs import OPEN_NODES, NodeRun, NodeState, PipelineRun

COLOURS = {
    NodeState.SUCCEEDED: "green",
    NodeState.REUSED: "green",
    NodeState.FAILED: "red",
    NodeState.CANCELED: "yellow",
    NodeState.RUNNING: "blue",
}


def follow(client: Client, run: PipelineRun, console: Console) -> PipelineRun:
    """Show a pipeline run until it has ended, and return it as it ended."""
    nodes: dict[int, NodeRun] = {}
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("runs"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(run.name, total=sum(run.counts.values()))
        for change in client.pipelines.changes(run.pipeline_run_id):
            for row in change.nodes:
                before = nodes[row.place].state if row.place in nodes else NodeState.WAITING
                if row.state is not before:
                    progress.console.print(_line(row))
                nodes[row.place] = row
            run = change.pipeline_run
            done = sum(count for state, count in run.counts.items() if state not in OPEN_NODES)
            progress.update(bar, description=f"{run.name} {run.state}", completed=done)
    console.print(
        Text(as_text(PipelineStory(run=run, nodes=[nodes[place] for place in sorted(nodes)]))), soft_wrap=True
    )
    return run


def _line(row: NodeRun) -> Text:
    name = row.node if row.item is None else f"{row.node}[{row.item}]"
    why = f": {' '.join(plain(row.reason).split())}" if row.reason else ""
    return Text(f"{LOOKS[row.state][0]} {name} {row.state}{why}", style=COLOURS.get(row.state, ""))
