# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run in the shell: one progress bar that moves while the run does, what it writes above it, the result below.

Control sequences in what user code writes never reach the terminal.
"""

from __future__ import annotations

from datetime import UTC, datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from animus.client import Client
from animus.story import Story, approval_told, plain
from animus.waiting import UNSTARTED, Waits
from animus_contracts.run_events import RunEvent
from animus_contracts.runs import Run, RunState

COLOURS = {
    RunState.SUCCEEDED: "green",
    RunState.FAILED: "red",
    RunState.CANCELED: "yellow",
    RunState.RUNNING: "blue",
}


def follow(client: Client, run: Run, console: Console) -> Run:
    """Show a run until it has ended, and return it as it ended."""
    story = Story(run)
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("cells"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task(str(run.state), total=story.cells_total or None)

        def show(reason: str) -> None:
            progress.update(bar, description=f"{story.state}  {plain(reason)}".rstrip())

        with Waits(lambda: client.runs.waiting(run.run_id), show) as waits:
            for event in client.runs.events(run.run_id):
                story.fold(event)
                if story.state not in UNSTARTED:
                    waits.stop()
                _write(progress.console, event)
                total = story.cells_total or None
                progress.update(bar, description=str(story.state), completed=story.cells_done, total=total)
    ended = client.runs.read(run.run_id)
    story.settle(ended)
    conclude(story, console)
    return ended


def conclude(story: Story, console: Console) -> None:
    """Print how a run ended and what it measured."""
    console.print(
        Text(str(story.state), style=COLOURS.get(story.state, "")),
        Text(f"{story.title}  {story.run_id}  {story.seconds(datetime.now(UTC)):.1f} s"),
    )
    for name, series in sorted(story.metrics.items()):
        console.print(Text(f"  {name} = {series.values[-1]:.6g}"))
    if story.failure:
        console.print(Text(f"  {plain(story.failure.summary)}", style="red"))
        for line in filter(None, (story.failure.exception, story.failure.remedy)):
            console.print(Text(f"  {plain(line)}"))


def _write(console: Console, event: RunEvent) -> None:
    if event.type == "stream.written":
        console.print(Text(plain(event.data["text"]).rstrip("\n")))
    elif event.type == "approval.changed":
        console.print(Text(plain(approval_told(event.data))))
    elif event.type == "metric.logged":
        console.print(Text(f"{event.data['name']}[{event.data['step']}] = {event.data['value']:.6g}", style="cyan"))
