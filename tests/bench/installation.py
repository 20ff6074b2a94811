# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Our side: the embedded default exactly as ``animus up`` starts it, with a project, a lock and notebooks to run."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from animus.client import Client
from animus.demo.hub import LocalHub
from animus.demo.people import log_in
from animus.session import Session
from animus_contracts.identifiers import LockId
from animus_contracts.runs import CodeRef, RunState, SubmitRun

PROJECT = "bench"
KERNEL_LOCK = Path(__file__).parent.parent / "faults" / "kernel-lock.txt"
NO_EXECUTOR_HAS = "linux_s390x"
"""Platform of the lock whose runs must stay queued: submissions are measured alone, not the work they cause."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """A running installation, seen by its administrator."""

    client: Client
    token: str
    control_port: int
    lock: LockId
    unfit_lock: LockId
    repository: Path
    commit: str

    def code(self, notebook: str) -> CodeRef:
        """Name one of the notebooks at the commit."""
        return CodeRef(repository=self.repository.as_uri(), commit=self.commit, path=notebook)

    def run(self, notebook: str) -> str:
        """Submit a notebook and wait for success as a client sees it; return the run's id."""
        [run_id] = self.burst(notebook, 1)
        return run_id

    def burst(self, notebook: str, count: int) -> list[str]:
        """Submit a notebook ``count`` times at once and wait until all have succeeded; return the runs' ids."""
        wish = SubmitRun(code=self.code(notebook), environment_lock_id=self.lock)
        run_ids = [self.client.runs.submit(wish).run_id for _ in range(count)]
        for run_id in run_ids:
            ended = self.client.runs.wait(run_id)
            if ended.state is not RunState.SUCCEEDED:
                message = f"{notebook} ended as {ended.state}: {ended.failure}"
                raise RuntimeError(message)
        return run_ids

    def executed(self, run_id: str) -> dict[str, Any]:
        """Download a run's executed notebook."""
        artifact = next(item for item in self.client.artifacts.list(run_id) if item.kind == "notebook")
        with tempfile.TemporaryDirectory() as folder:
            file = self.client.artifacts.download(artifact, Path(folder) / "executed.ipynb")
            notebook: dict[str, Any] = json.loads(Path(file or Path(folder) / "executed.ipynb").read_bytes())
            return notebook


def trivial_notebook(cells: int) -> dict[str, Any]:
    """Build a notebook whose cells compute and print next to nothing."""
    return {
        "cells": [
            {
                "cell_type": "code", "id": f"cell-{number}", "metadata": {}, "outputs": [], "execution_count": None,
                "source": f"x{number} = {number}\nprint(x{number})",
            }
            for number in range(cells)
        ],
        "metadata": {
            "kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }  # fmt: skip


@contextmanager
def an_installation(folder: Path, notebooks: dict[str, dict[str, Any]]) -> Iterator[Installation]:
    """Run an installation until the block ends."""
    hub = LocalHub(folder)
    hub.start()
    try:
        person = log_in(hub.address, "ann", hub.passwords()["ann"])
        session = Session(url=f"{hub.address}/services/animus", token=person.token, project=PROJECT)
        with Client(session) as client:
            client.projects.create(PROJECT)
            environment = client.environments.define("kernel", python="3.11", requirements=[])
            text = KERNEL_LOCK.read_text()
            repository = folder / "repositories" / "bench"
            yield Installation(
                client=client,
                token=person.token,
                control_port=json.loads((folder / "ports.json").read_bytes())["control"],
                lock=client.environments.lock(environment, text).lock_id,
                unfit_lock=client.environments.lock(environment, text, platform=NO_EXECUTOR_HAS).lock_id,
                repository=repository,
                commit=_commit(repository, notebooks),
            )
    finally:
        hub.remove()


def _commit(repository: Path, notebooks: dict[str, dict[str, Any]]) -> str:
    repository.mkdir(parents=True)
    for name, notebook in notebooks.items():
        (repository / name).write_text(json.dumps(notebook))
    identity = ["-c", "user.name=bench", "-c", "user.email=bench@example.test"]
    for command in (["init", "-q"], ["add", "."], [*identity, "commit", "-q", "-m", "Notebooks to measure"]):
        subprocess.run(["git", *command], cwd=repository, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=repository, check=True, capture_output=True, text=True)
    return head.stdout.strip()
