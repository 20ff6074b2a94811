# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The cache of inputs stays below its size: what was used longest ago goes first, what may be in use stays.

Runs mark a file as used before they look at it and then link it, so a file that was not used for a while is not
about to be linked, and one that was linked is not lost when its name here goes.
"""

from __future__ import annotations

import time
from pathlib import Path

SPARED_SECONDS = 3600.0


def trim(folder: Path, most_bytes: int, *, now: float | None = None) -> int:
    """Remove files until the folder holds at most ``most_bytes``.

    Args:
        folder: The cache.
        most_bytes: How much it may hold.
        now: Seconds since the epoch; files used within the hour before are spared.

    Returns:
        How many bytes it holds afterwards.
    """
    used_before = (time.time() if now is None else now) - SPARED_SECONDS
    files = [(path, path.stat()) for path in folder.rglob("*") if path.is_file()]
    held = sum(status.st_size for _, status in files)
    for path, status in sorted(files, key=lambda entry: entry[1].st_mtime):
        if held <= most_bytes or status.st_mtime >= used_before:
            break
        path.unlink()
        held -= status.st_size
    return held
