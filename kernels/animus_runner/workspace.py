# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The folders of one attempt. What a run reads is read-only; what it may write is ``outputs`` and ``scratch``.

Everything that comes from a plan as a path is checked again here: the executor's disk is not the control plane's.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from animus_contracts.datasets import FileEntry, content_digest
from animus_contracts.digests import Digest
from animus_contracts.identifiers import BINDING_NAME
from animus_contracts.plans import PlannedInput
from animus_contracts.runs import FailureReason
from animus_runner.control_plane import PATIENCE_SECONDS, patiently
from animus_runner.exits import FailedError
from animus_runner.git_objects import UnsafeTreeError, verify_component
from animus_runner.objects import Objects, Source, WrongBytesError

DOWNLOADS = 4
OUTPUTS, LOGGED = "outputs", "logged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """The folders of one attempt.

    Attributes:
        run: Everything; only the supervisor sees all of it.
        checkout: The code, read-only.
        inputs: One folder per input, read-only.
        outputs: What the notebook leaves here is an artifact.
        scratch: Temporary files of the run.
        logged: Copies of logged artifacts; the run does not see it.
    """

    run: Path
    checkout: Path
    inputs: Path
    outputs: Path
    scratch: Path
    logged: Path

    @classmethod
    def prepare(cls, run: Path) -> Self:
        """Make the folders, except for the checkout, which arrives as a whole."""
        names = ("checkout", "inputs", OUTPUTS, "scratch", LOGGED)
        workspace = cls(run=run, **{name: run / name for name in names})
        for name in names[1:]:
            (run / name).mkdir(mode=0o700)
        return workspace


def materialise(
    inputs: list[PlannedInput], folder: Path, objects: Objects, source: Source, *, patience: float = PATIENCE_SECONDS
) -> None:
    """Place every file of every input at ``<folder>/<input>/<path>``, through an outage of ``patience`` seconds.

    Raises:
        FailedError: As input, when a plan's paths are not acceptable or bytes are not the ones that were bound.
    """

    def place(digest: Digest, target: Path) -> None:
        patiently(lambda: objects.place(digest, target, source), patience=patience)

    with ThreadPoolExecutor(DOWNLOADS) as pool:
        waiting = [
            pool.submit(_place, planned.name, entry, folder / planned.name, place)
            for planned in inputs
            for entry in _verified(planned)
        ]
        for future in waiting:
            future.result()
    for path in [*folder.rglob("*"), folder]:
        if path.is_dir():
            path.chmod(0o555)


def _verified(planned: PlannedInput) -> list[FileEntry]:
    if not BINDING_NAME.fullmatch(planned.name) or content_digest(planned.files) != planned.content_digest:
        raise _input_failure(planned.name, "its list of files is not the one that was bound")
    try:
        for entry in planned.files:
            for part in entry.path.split("/"):
                verify_component(part)
    except UnsafeTreeError as error:
        raise _input_failure(planned.name, str(error)) from error
    return planned.files


def _place(name: str, entry: FileEntry, folder: Path, place: Callable[[Digest, Path], None]) -> None:
    target = folder / entry.path
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        place(entry.digest, target)
    except WrongBytesError as error:
        raise _input_failure(name, f"the bytes of {entry.path!r} are not the ones that were bound: {error}") from error
    except (FileExistsError, NotADirectoryError) as error:
        raise _input_failure(name, f"{entry.path!r} is both a file and a folder, or is there twice") from error


def _input_failure(name: str, why: str) -> FailedError:
    return FailedError(
        FailureReason.INPUT,
        f"The input {name[:80]!r} cannot be used: {why}.",
        remedy="Make a new version of the dataset and bind that one.",
    )
