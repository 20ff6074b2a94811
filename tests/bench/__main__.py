# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``make bench``: every figure as a ratio, ours against a peer's, in one run on one machine.

P1, P2  a governed run, from submission to the success its client sees, over the ``papermill`` command
P3      durable, authenticated, policed and audited submissions per second over MLflow's ``create_run``, 8 clients each
P4      from submission to downloaded outputs over jupyter-scheduler's submission to completion; then a burst of
        submissions at once, until the last of them has ended, over the same burst there
P10     a dispatch with ten thousand runs in the queue over one with a hundred, on each database

Outputs are compared with papermill's before anything is timed: a fast wrong answer is no result.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.progress import track

from tests.bench import peers
from tests.bench.installation import PROJECT, Installation, an_installation, trivial_notebook
from tests.bench.load import Load, Throughput, drive
from tests.bench.measure import PeerFailedError, Result, Side, come_to_rest, compare, interleave, report, timed
from tests.bench.queue import dispatch_figures

CLIENTS = 8
WARM_UP = 2
ALONE = "P10"
"""The figure without a peer: our queue is compared with our queue."""
BURST = 12
GOAL_P1, GOAL_P2, GOAL_P3, GOAL_P4, GOAL_BURST = 0.25, 0.15, 10.0, 0.125, 0.1
NOTEBOOKS = {f"cells-{count}.ipynb": trivial_notebook(count) for count in (10, 200)}

console = Console(stderr=True)


def main() -> int:
    """Measure what was chosen and print the table; return 1 if a peer could not be measured."""
    chosen = _parser().parse_args()
    chosen.peers.mkdir(parents=True, exist_ok=True)
    against = sorted(set(chosen.only) & set(FIGURES))
    needed = sorted({FIGURES[name].peer for name in against})
    environments = {
        name: peers.environment(name, chosen.peers.absolute())
        for name in track(needed, "installing peers", console=console)
    }
    with tempfile.TemporaryDirectory(prefix="animus-bench-", ignore_cleanup_errors=True) as scratch:
        folder = Path(scratch)
        for name, notebook in NOTEBOOKS.items():
            (folder / name).write_text(json.dumps(notebook))
        results = dispatch_figures(folder, chosen.rounds) if ALONE in chosen.only else []
        missed = []
        if against:
            with an_installation(folder / "data", NOTEBOOKS) as ours:
                for name in against:
                    try:
                        results += FIGURES[name].measure(ours, environments[FIGURES[name].peer], folder, chosen)
                    except PeerFailedError as error:
                        missed.append(f"{name} was not measured: {error}")
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}"
    print(f"{machine}; n = {chosen.rounds}, sides alternating\n\n{report(results)}", *missed, sep="\n")  # noqa: T201 - the result
    return 1 if missed else 0


class PapermillFigure(NamedTuple):
    """A figure against papermill: its name, the notebook's cells, the goal."""

    name: str
    cells: int
    goal: float


def _against_papermill(figure: PapermillFigure, ours: Installation, peer: Path, folder: Path, rounds: int) -> Result:
    notebook, output = f"cells-{figure.cells}.ipynb", folder / "papermill-output.ipynb"
    command: Callable[[], None] = lambda: peers.papermill(peer, folder / notebook, output)  # noqa: E731 - a name for one call
    run_id = ours.run(notebook)
    command()
    if _outputs(ours.executed(run_id)) != _outputs(json.loads(output.read_bytes())):
        message = f"the outputs of {notebook} differ from papermill's"
        raise RuntimeError(message)
    sides = [Side("animus", timed(lambda: ours.run(notebook))), Side("papermill", timed(command))]
    with console.status(f"{figure.name}: {notebook}"):
        interleave(sides, rounds=rounds)
    return compare(f"{figure.name} {figure.cells} cells, submit → succeeded", *sides, at_most=figure.goal)


def _against_scheduler(ours: Installation, peer: Path, folder: Path, rounds: int) -> list[Result]:
    notebook = "cells-10.ipynb"
    served = folder / "scheduler"
    served.mkdir()
    (served / notebook).write_bytes((folder / notebook).read_bytes())
    with peers.jupyter_scheduler(peer, served) as base:
        sides = [
            Side("animus", timed(lambda: ours.executed(ours.run(notebook)))),
            Side("jupyter-scheduler", timed(lambda: peers.scheduler_jobs(base, notebook))),
        ]
        bursts = [
            Side("animus", timed(lambda: ours.burst(notebook, BURST))),
            Side("jupyter-scheduler", timed(lambda: peers.scheduler_jobs(base, notebook, BURST))),
        ]
        with console.status("P4: submit → outputs"):
            interleave(sides, rounds=rounds)
        with console.status(f"P4: {BURST} at once"):
            interleave(bursts, rounds=rounds)
    return [
        compare("P4 submit → outputs visible", *sides, at_most=GOAL_P4),
        compare(f"P4 {BURST} at once → all succeeded", *bursts, at_most=GOAL_BURST),
    ]


def _against_mlflow(ours: Installation, peer: Path, folder: Path, seconds: float, rounds: int) -> Result:
    code = ours.code("cells-10.ipynb")
    our_load = Load(
        port=ours.control_port,
        path=f"/services/animus/api/v1/projects/{PROJECT}/runs",
        headers={
            "Authorization": f"Bearer {ours.token}",
            "Content-Type": "application/json",
            "Idempotency-Key": "$KEY",
        },
        body={
            "code": {"repository": code.repository, "commit": code.commit, "path": code.path},
            "environment_lock_id": ours.unfit_lock,
            "labels": {"name": "$KEY"},
        },
        clients=CLIENTS,
        seconds=seconds,
        expect=201,
    )
    with peers.mlflow(peer, folder / "mlflow") as (port, experiment):
        their_load = Load(
            port=port,
            path="/api/2.0/mlflow/runs/create",
            headers={"Content-Type": "application/json"},
            body={"experiment_id": experiment, "start_time": 1, "run_name": "$KEY"},
            clients=CLIENTS,
            seconds=seconds,
            expect=200,
        )
        with console.status("P3: submissions at 8 clients"):
            for _ in range(WARM_UP):  # the peer answers while some of its workers are still starting
                drive(our_load)
                drive(their_load)
            pairs = [(_driven(our_load), _driven(their_load)) for _ in range(rounds)]
    return _throughput(pairs)


def _driven(load: Load) -> Throughput:
    come_to_rest()
    return drive(load)


def _throughput(pairs: list[tuple[Throughput, Throughput]]) -> Result:
    if any(side.errors for pair in pairs for side in pair):
        message = f"requests failed under load: {pairs}"
        raise RuntimeError(message)
    ours, theirs = (sorted(sides, key=lambda side: side.per_second) for sides in zip(*pairs, strict=True))
    middle = len(pairs) // 2
    ratio = ours[middle].per_second / theirs[middle].per_second
    return Result(
        name=f"P3 submissions/s, {CLIENTS} clients",
        ours=_shown(ours),
        peer=f"MLflow {_shown(theirs)}",
        ratio=ratio,
        goal=f"≥ {GOAL_P3:g}",
        met=ratio >= GOAL_P3,
    )


def _shown(sides: list[Throughput]) -> str:
    middle = sides[len(sides) // 2]
    slowest, fastest = sides[0].per_second, sides[-1].per_second
    return f"{middle.per_second:.0f}/s, p50 {middle.p50_ms:.1f} ms ({slowest:.0f}…{fastest:.0f}/s)"


def _outputs(notebook: dict[str, Any]) -> list[Any]:
    """Return what the cells gave, without ids and times, and with streams joined: where they are cut is chance."""
    return [
        _joined(cell["outputs"])
        for cell in notebook["cells"]
        if cell["cell_type"] == "code" and "injected-parameters" not in cell["metadata"].get("tags", [])
    ]


def _joined(outputs: list[dict[str, Any]]) -> list[Any]:
    joined: list[Any] = []
    for output in outputs:
        if output["output_type"] != "stream":
            joined.append({key: value for key, value in output.items() if key != "metadata"})
        elif joined and isinstance(joined[-1], tuple) and joined[-1][0] == output["name"]:
            joined[-1] = (output["name"], joined[-1][1] + "".join(output["text"]))
        else:
            joined.append((output["name"], "".join(output["text"])))
    return joined


class Figure(NamedTuple):
    """How a figure is measured: against whom, and by what; that gets our side, the peer's, a folder and the options."""

    peer: str
    measure: Callable[[Installation, Path, Path, argparse.Namespace], Sequence[Result]]


def _papermill_figure(name: str, cells: int, goal: float) -> Figure:
    figure = PapermillFigure(name, cells, goal)
    return Figure(
        "papermill",
        lambda ours, peer, folder, chosen: [_against_papermill(figure, ours, peer, folder, chosen.rounds)],
    )


FIGURES = {
    "P1": _papermill_figure("P1", 10, GOAL_P1),
    "P2": _papermill_figure("P2", 200, GOAL_P2),
    "P3": Figure(
        "mlflow",
        lambda ours, peer, folder, chosen: [_against_mlflow(ours, peer, folder, chosen.seconds, chosen.rounds)],
    ),
    "P4": Figure(
        "jupyter-scheduler",
        lambda ours, peer, folder, chosen: _against_scheduler(ours, peer, folder, chosen.rounds),
    ),
}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    figures = [*FIGURES, ALONE]
    parser.add_argument("--only", nargs="+", choices=figures, default=figures, help="figures (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="measured runs of each side (default: 7)")
    parser.add_argument("--seconds", type=float, default=5.0, help="seconds of load for each measured run (default: 5)")
    parser.add_argument(
        "--peers", type=Path, default=Path(sys.prefix) / "peers", help="where the peers' environments are kept"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
