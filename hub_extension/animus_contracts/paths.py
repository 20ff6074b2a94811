# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Paths that cross a process boundary are plain and relative: joined to a folder they never leave it, on any system."""

from __future__ import annotations

import re

MAX_PATH_BYTES = 512
DRIVE = re.compile(r"[A-Za-z]:")
# Whatever could end a line, hide text or reverse its direction has no place in a name that people compare by eye.
UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ud800-\udfff]")


def path_fault(path: str) -> str | None:
    """Say why a text is not a plain relative POSIX path, or None when it is one.

    Args:
        path: The text, at most :data:`MAX_PATH_BYTES` bytes of UTF-8.
    """
    if not path or len(path.encode(errors="replace")) > MAX_PATH_BYTES:
        return f"must be 1 to {MAX_PATH_BYTES} bytes long"
    if UNPRINTABLE.search(path):
        return "must have printable characters only"
    if "\\" in path or path.startswith("/") or DRIVE.match(path):
        return "must be relative, with forward slashes and no drive"
    if any(part in {"", ".", ".."} for part in path.split("/")):
        return "must not have empty parts, '.' or '..'"
    return None
