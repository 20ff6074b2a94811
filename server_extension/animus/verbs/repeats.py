# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Do a run again, compare two, and find the runs that made a file."""

from __future__ import annotations

import hashlib
from argparse import Namespace
from pathlib import Path

import msgspec

from animus import comparing
from animus.errors import UsageError
from animus.verbs import Desk, Following, Judged
from animus_contracts.artifacts import MadeArtifact
from animus_contracts.comparisons import Tolerances
from animus_contracts.datasets import DatasetFile
from animus_contracts.digests import DIGEST


def rerun(desk: Desk, given: Namespace) -> Following:
    """Submit a run's inputs again, under today's policies."""
    client = desk.client()
    return Following(client=client, run=client.runs.rerun(given.run), wait=given.watch)


def replay(desk: Desk, given: Namespace) -> Following:
    """Execute a run's stored plan again and compare what comes out."""
    client = desk.client()
    made = client.runs.replay(given.run, tolerances=_tolerances(given))
    return Following(client=client, run=made, wait=given.watch or given.verify, verify=given.verify)


def compare(desk: Desk, given: Namespace) -> Judged:
    """Compare what two runs were made from and what they produced."""
    client = desk.client()
    asked = client.comparisons.create(given.left, given.right, tolerances=_tolerances(given))
    found = client.comparisons.wait(asked.comparison_id)
    return Judged(value=found, exit_code=int(not comparing.agrees(found)))


class Whence(msgspec.Struct, frozen=True, kw_only=True):
    """Where bytes come from: the runs that made them, and the dataset versions that hold them."""

    artifacts: list[MadeArtifact]
    datasets: list[DatasetFile]


def whence(desk: Desk, given: Namespace) -> Whence:
    """Find the runs that made a file and the dataset versions that hold it, by its bytes."""
    client, digest = desk.client(), _digest(given.file)
    return Whence(artifacts=list(client.artifacts.find(digest)), datasets=list(client.datasets.find(digest)))


def _tolerances(given: Namespace) -> Tolerances:
    stated = {"relative": given.relative, "absolute": given.absolute}
    return Tolerances(**{name: value for name, value in stated.items() if value is not None})


def _digest(text: str) -> str:
    if DIGEST.fullmatch(text):
        return text
    path = Path(text).expanduser()
    if not path.is_file():
        message = f"{text!r} is neither a file nor a digest"
        raise UsageError("no_such_file", message, remedy="name a file, or sha256: and 64 hexadecimal digits")
    with path.open("rb") as file:
        return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()
