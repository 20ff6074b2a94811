# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m animus.demo``: play the scenes in order; the first one that is not as promised ends the demo with 1."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from rich.console import Console

from animus.client import Client
from animus.demo import scenes
from animus.demo.expectations import Disappointment
from animus.demo.hub import LocalHub
from animus.demo.people import Person, log_in
from animus.demo.shell import Shell
from animus.errors import AnimusError
from animus.session import Session


def main(arguments: list[str] | None = None) -> None:
    """Run the demo."""
    chosen = _parser().parse_args(arguments)
    hub = LocalHub(chosen.data.absolute())
    console = Console(highlight=False)
    if chosen.down:
        console.print(hub.remove().strip())
        console.print(f"Nothing of the demo is left in {chosen.data}.")
        return
    began = time.monotonic()
    try:
        passwords = play(hub, console, chosen.port)
    except (Disappointment, AnimusError) as problem:
        console.print(f"\n[bold red]Not as promised:[/] {problem}", markup=True)
        console.print(f"What the services say is in {hub.log}.")
        sys.exit(1)
    console.rule(f"[bold]Done in {time.monotonic() - began:.0f} s[/]")
    if chosen.smoke:
        console.print(hub.end().strip())
    else:
        show_address(hub, console, passwords)


def play(hub: LocalHub, console: Console, port: int | None) -> dict[str, str]:
    """Play all scenes.

    Returns:
        The passwords of the three people.

    Raises:
        Disappointment: If something is not as promised.
        AnimusError: If something is refused that must not be.
    """
    console.rule("[bold]1. Start[/]")
    passwords = hub.passwords()
    hub.start(port)
    console.print(f"Hub, control plane and executor run at {hub.address}, with all data in {hub.data}.")
    people = {"ann": log_in(hub.address, "ann", passwords["ann"])}

    console.rule("[bold]2. A project and its people[/]")
    scenes.make_project(shell_of(hub, people["ann"], console))
    people |= {name: log_in(hub.address, name, passwords[name]) for name in ("ed", "vic")}
    people["ed"].ask_for_workspace(scenes.PROJECT)
    people["ed"].workspace(scenes.PROJECT)
    console.print(
        f"\nEd's workspace is at {hub.address}{people['ed'].workspace(scenes.PROJECT)}, with the examples in it."
    )

    ann, ed, vic = (shell_of(hub, people[name], console) for name in ("ann", "ed", "vic"))
    play_runs(ann, ed, vic, hub.data / "demo")
    return passwords


def play_runs(ann: Shell, ed: Shell, vic: Shell, folder: Path) -> None:
    """Play the scenes that are about runs."""
    folder.mkdir(exist_ok=True)
    console = ed.console
    console.rule("[bold]3. An environment, pinned[/]")
    scenes.lock_environment(ed)
    console.rule("[bold]4. Data, written by a run[/]")
    console.print("The first run in an environment waits until it is installed; later ones find it there.")
    scenes.register_data(ed, folder)
    console.rule("[bold]5. Train a model[/]")
    training = scenes.train(ed, folder)
    console.rule("[bold]6. Evaluate it on unseen rows[/]")
    scenes.evaluate(ed)
    console.rule("[bold]7. The whole story of the training[/]")
    scenes.explain(ed, training)
    console.rule("[bold]8. The training again, from its stored plan[/]")
    scenes.replay(ed, training)
    console.rule("[bold]9. A pipeline[/]")
    scenes.run_pipeline(ed)
    console.rule("[bold]10. A run that fails, truthfully[/]")
    scenes.fail_truthfully(ed)
    console.rule("[bold]11. Submissions that would be, and are, refused[/]")
    scenes.check_before(ed)
    scenes.be_refused(ann, ed, vic)
    console.rule("[bold]12. A run from a notebook[/]")
    scenes.run_from_notebook(ed)
    console.rule("[bold]13. The audit log, verified[/]")
    scenes.verify_audit(ann)


def shell_of(hub: LocalHub, person: Person, console: Console) -> Shell:
    """Open a person's shell: their checkout when they have a workspace, Ed's to read in otherwise."""
    home = hub.data / "workspaces" / person.name / scenes.PROJECT
    checkout = home / scenes.PROJECT
    lent = hub.data / "workspaces" / "ed" / scenes.PROJECT / scenes.PROJECT
    folder = next((found for found in (checkout, lent) if found.is_dir()), hub.data)
    session = Session(url=f"{person.address}/services/animus", token=person.token, project=scenes.PROJECT)
    return Shell(
        person=person, project=scenes.PROJECT, home=home, folder=folder, console=console, client=Client(session)
    )


def show_address(hub: LocalHub, console: Console, passwords: dict[str, str]) -> None:
    """Say where to go on, and as whom."""
    console.print(f"Open [bold]{hub.address}[/] and log in (the passwords are shown once and not kept):")
    for name, what in (("ann", "administers the project"), ("ed", "edits and runs"), ("vic", "looks")):
        console.print(f"  {name:4} {passwords[name]}  {what}")
    console.print("Then open the project [bold]demo[/] and, in JupyterLab, [bold]first-session.ipynb[/].")
    console.print("[dim]make demo-down stops everything and removes its data.[/]")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="animus demo", description="Start an installation and show what it does.")
    parser.add_argument("--data", type=Path, default=Path(".demo"), help="data folder (default: %(default)s)")
    parser.add_argument("--port", type=int, help="port for browsers (default: the last one, or any free one)")
    parser.add_argument("--smoke", action="store_true", help="stop at the end; for machines that watch alone")
    parser.add_argument("--down", action="store_true", help="stop the demo and remove its data")
    return parser


if __name__ == "__main__":
    main()
