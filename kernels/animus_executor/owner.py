# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A data folder has one executor at a time: two of them would adopt each other's attempts.

The lock is the system's, so it ends with the process that holds it, however that ends. A predecessor that is about to
stop is waited for.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOCK_FILE = "executor.lock"
PATIENCE_SECONDS = 20.0  # somewhat longer than an executor takes to stop
LOOK_SECONDS = 0.2

log = logging.getLogger(__name__)


class FolderTakenError(Exception):
    """Another executor works in the folder."""


@contextmanager
def owned(data: Path, *, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Own an executor's data folder.

    Args:
        data: The folder; made when it is not there.
        patience: How many seconds to wait for another executor to end.

    Raises:
        FolderTakenError: If another executor works in it.
    """
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (data / LOCK_FILE).open("w") as lock:
        deadline = time.monotonic() + patience
        if not _is_locked(lock.fileno()):
            log.info("waiting for the executor that works in %s to end", data)
        while not _is_locked(lock.fileno()):
            if time.monotonic() > deadline:
                raise FolderTakenError(f"another executor works in {data}: give each one a folder of its own")
            time.sleep(LOOK_SECONDS)
        yield


def _is_locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
