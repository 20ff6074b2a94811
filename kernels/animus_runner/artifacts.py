# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run leaves behind: found without following a link, named once, known by its digest.

A path from user code is opened component by component below a folder the run may write to, never through a symbolic
link, so it can name nothing else; a logged file is copied at that moment and is what it was then. Which copy has which
name is noted beside the copies, so that they can be found when the process that made them is gone.
"""

from __future__ import annotations

import mimetypes
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import msgspec

from animus_contracts.artifacts import ArtifactEntry, ArtifactKind
from animus_contracts.decoding import decode_json
from animus_contracts.paths import path_fault
from animus_contracts.runs import Failure, FailureReason
from animus_runner.channel import RefusedRequestError
from animus_runner.objects import digest_file

UPLOADS = 4
MAX_ARTIFACTS = 1000
NAMES_FILE = "names.jsonl"
MEDIA_TYPES = {
    ".ipynb": "application/x-ipynb+json",
    ".joblib": "application/octet-stream",
    ".md": "text/markdown",
    ".parquet": "application/vnd.apache.parquet",
}
mimetypes.init()  # reads the system's tables once, before any run is forked


@dataclass(frozen=True, slots=True, kw_only=True)
class Produced:
    """A file that becomes an artifact."""

    name: str
    kind: ArtifactKind
    path: Path
    media_type: str = ""


class _Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    copy: str


class Logged:
    """Copies of the files user code logged; the last one of a name counts.

    Args:
        folder: Where the copies are kept, outside of what the run sees.
        writable: The folders the run may write to, as it names them, and where they really are.
        max_bytes: Size of the largest file.
    """

    def __init__(self, folder: Path, writable: dict[Path, Path], max_bytes: int) -> None:
        self._folder = folder
        self._writable = writable
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._count = 0

    def keep(self, name: str, path: str) -> None:
        """Copy a file.

        Raises:
            RefusedRequestError: If it is not a regular file in a writable folder, or too much.
        """
        with self._lock:
            if self._count >= MAX_ARTIFACTS:
                raise RefusedRequestError("too_many_artifacts", f"a run logs at most {MAX_ARTIFACTS} artifacts")
            self._count += 1
            copy = self._folder / str(self._count)
        with self._opened(path) as file, copy.open("xb") as target:
            if os.fstat(file.fileno()).st_size > self._max_bytes:
                raise RefusedRequestError("too_large", f"an artifact has at most {self._max_bytes} bytes")
            shutil.copyfileobj(file, target)
        with self._lock, (self._folder / NAMES_FILE).open("ab") as names:  # after the copy, which is whole by now
            note = msgspec.json.encode(_Noted(name=name, copy=copy.name))
            names.write(b"\n%b\n" % note)  # a note that a full disk has torn takes none with it

    def produced(self) -> list[Produced]:
        """The copies, by name."""
        return logged_in(self._folder)

    def _opened(self, path: str) -> BinaryIO:
        for seen, real in self._writable.items():
            if Path(path).is_relative_to(seen):
                try:
                    return open_beneath(real, Path(path).relative_to(seen).parts)
                except (OSError, ValueError) as error:
                    raise RefusedRequestError("not_a_file", f"{path[:200]!r} is not a regular file") from error
        folders = ", ".join(map(str, self._writable))
        raise RefusedRequestError("outside", f"{path[:200]!r} is not in a folder the run may write to: {folders}")


def logged_in(folder: Path) -> list[Produced]:
    """Find the copies in a folder of them, by name; a note that was torn in the middle is none."""
    with suppress(FileNotFoundError):
        notes = (folder / NAMES_FILE).read_bytes().splitlines()
        files: dict[str, Path] = {}
        for line in notes:
            with suppress(msgspec.DecodeError):
                noted = decode_json(line, _Noted)
                files[noted.name] = folder / noted.copy
        return [Produced(name=name, kind=ArtifactKind.LOGGED, path=path) for name, path in sorted(files.items())]
    return []


def open_beneath(folder: Path, parts: tuple[str, ...]) -> BinaryIO:
    """Open a regular file below a folder, following no symbolic link on the way.

    Raises:
        OSError: If there is no such file, or a component is a link.
        ValueError: If it is not a regular file, or a component leaves the folder.
    """
    if not parts or {"", ".", ".."} & set(parts):
        raise ValueError("not a path below the folder")
    held = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            flags = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            inner = os.open(part, flags, dir_fd=held)
            os.close(held)
            held = inner
        # Without O_NONBLOCK a named pipe would hold the supervisor.
        found = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=held)
    finally:
        os.close(held)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise ValueError("not a regular file")
    return os.fdopen(found, "rb")


def collect_outputs(folder: Path) -> tuple[list[Produced], Failure | None]:
    """Find every regular file in the outputs folder.

    Returns:
        What can be published, and why the run failed when that is not all.
    """
    found: list[Produced] = []
    for path in _regular_files(folder):
        name = path.relative_to(folder).as_posix()
        if fault := path_fault(name):
            summary = f"The notebook left a file whose name cannot be kept: {name!a:.100}."
            return found, _user_failure(summary, detail=f"Its path {fault}.", remedy="Rename the file.")
        if len(found) == MAX_ARTIFACTS:
            return found, _user_failure(
                f"The notebook left more than {MAX_ARTIFACTS} files.", remedy="Pack the files into an archive."
            )
        found.append(Produced(name=name, kind=ArtifactKind.OUTPUT, path=path))
    return found, None


def undelivered(declared: list[str], outputs: list[Produced]) -> Failure | None:
    """Say which declared output is not there, or None when all are."""
    written = {produced.name for produced in outputs}
    missing = sorted(set(declared) - written)
    if not missing:
        return None
    return _user_failure(
        f"The notebook ended, but did not write the declared output {missing[0]!r}.",
        detail=f"Missing: {', '.join(missing)}. Written: {', '.join(sorted(written)) or 'nothing'}.",
        remedy="Write the file to animus.outputs, or do not declare it.",
    )


def _user_failure(summary: str, *, remedy: str, detail: str = "") -> Failure:
    return Failure(reason=FailureReason.USER_CODE, summary=summary, detail=detail, remedy=remedy)


def distinct(outputs: list[Produced], logged: list[Produced]) -> list[Produced]:
    """Name every artifact once: a logged file that is also an output with the same bytes is left out."""
    taken = {produced.name: produced for produced in outputs}
    kept = list(outputs)
    for produced in logged:
        twin = taken.get(produced.name)
        if twin is None:
            kept.append(produced)
        elif digest_file(twin.path) != digest_file(produced.path):
            name = f"logged/{produced.name}"
            kept.append(Produced(name=name, kind=produced.kind, path=produced.path))
    return kept


def described(produced: Produced) -> ArtifactEntry:
    """Return the manifest's entry for a file: its bytes are what they are now."""
    return ArtifactEntry(
        name=produced.name,
        kind=produced.kind,
        media_type=produced.media_type or media_type(produced.name),
        digest=digest_file(produced.path),
        size_bytes=produced.path.stat().st_size,
    )


def media_type(name: str) -> str:
    """Guess a media type from a file's name."""
    known = MEDIA_TYPES.get(Path(name).suffix.lower())
    return known or mimetypes.guess_type(name)[0] or "application/octet-stream"


def _regular_files(folder: Path) -> Iterator[Path]:
    for where, folders, names in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            if stat.S_ISREG(path.lstat().st_mode):
                yield path
