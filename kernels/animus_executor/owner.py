# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A data folder has one executor at a time: two of them would adopt each other's attempts.

The lock is the system's, so it ends with the process that holds it, however that ends.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "executor.lock"


class FolderTakenError(Exception):
    """Another executor works in the folder."""


@contextmanager
def owned(data: Path) -> Iterator[None]:
    """Own an executor's data folder.

    Args:
        data: The folder; made when it is not there.

    Raises:
        FolderTakenError: If another executor works in it.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data / LOCK_FILE).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise FolderTakenError(f"another executor works in {data}: give each one a folder of its own") from error
        yield
