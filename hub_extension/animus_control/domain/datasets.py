# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A version is made only of files whose bytes the project holds, under paths that cannot leave a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from animus_contracts.datasets import FileEntry
from animus_contracts.digests import DIGEST, Digest
from animus_contracts.paths import path_fault
from animus_contracts.problems import Fault
from animus_control.domain.limits import Limits


def file_faults(files: Sequence[FileEntry], limits: Limits) -> list[Fault]:
    """Check paths, digests and sizes of a version's files, apart from whether they were uploaded."""
    if not 0 < len(files) <= limits.dataset_files:
        message = f"must be 1 to {limits.dataset_files} files, not {len(files)}"
        return [Fault(path="$.files", code="wrong_length", message=message)]
    faults: list[Fault] = []
    for index, entry in enumerate(files):
        if fault := path_fault(entry.path):
            faults.append(Fault(path=f"$.files[{index}].path", code="invalid_path", message=fault))
        if not DIGEST.fullmatch(entry.digest):
            message = "must be 'sha256:' and 64 lower-case hexadecimal characters"
            faults.append(Fault(path=f"$.files[{index}].digest", code="invalid_digest", message=message))
        if entry.size_bytes < 0:
            message = "must not be negative"
            faults.append(Fault(path=f"$.files[{index}].size_bytes", code="invalid_size", message=message))
    return faults or _clashes(files)


def held_faults(files: Sequence[FileEntry], held: Mapping[Digest, int]) -> list[Fault]:
    """Check that the project holds the bytes of every file, in the declared size.

    Args:
        files: The declared files.
        held: Sizes in bytes of the objects the project holds.
    """
    faults: list[Fault] = []
    for index, entry in enumerate(files):
        size = held.get(entry.digest)
        if size is None:
            message = f"the project holds no bytes with the digest {entry.digest}; upload them first"
            faults.append(Fault(path=f"$.files[{index}].digest", code="not_uploaded", message=message))
        elif size != entry.size_bytes:
            message = f"the bytes are {size} long, not {entry.size_bytes}"
            faults.append(Fault(path=f"$.files[{index}].size_bytes", code="wrong_size", message=message))
    return faults


def _clashes(files: Sequence[FileEntry]) -> list[Fault]:
    paths = {entry.path for entry in files}
    if len(paths) != len(files):
        return [Fault(path="$.files", code="duplicate_path", message="two files have the same path")]
    folders = {path[:position] for path in paths for position in _slashes(path)}
    return [
        Fault(path="$.files", code="duplicate_path", message=f"{path!r} is both a file and a folder")
        for path in sorted(paths & folders)
    ]


def _slashes(path: str) -> list[int]:
    return [position for position, character in enumerate(path) if character == "/"]
