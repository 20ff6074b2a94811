# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tells whether anything below a folder changed since one began to watch it, at no cost per file (inotify).

Asking ten thousand files for their change times would cost more than starting a kernel. The system notes every write,
rename and change of attributes instead; when it cannot (no watches left, events lost), the answer is "changed", and
whoever asks looks at the files themselves.
"""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

IN_MODIFY, IN_ATTRIB, IN_CLOSE_WRITE = 0x2, 0x4, 0x8
IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x40, 0x80, 0x100, 0x200
IN_DELETE_SELF, IN_MOVE_SELF = 0x400, 0x800
CHANGES = (
    IN_MODIFY | IN_ATTRIB | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO
    | IN_CREATE | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF
)  # fmt: skip

_libc = ctypes.CDLL(None, use_errno=True)


class FolderWatch:
    """Watches a folder and everything below, from its creation on.

    Args:
        folder: The folder; links in it are not followed.
    """

    def __init__(self, folder: Path) -> None:
        self._events = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        self._is_watching = self._events >= 0 and all(self._add(where) for where, _, _ in os.walk(folder))

    def is_unchanged(self) -> bool:
        """Say whether nothing happened so far; once something did, it stays so."""
        if self._is_watching:
            try:
                self._is_watching = not os.read(self._events, 4096)
            except BlockingIOError:
                return True
        return False

    def close(self) -> None:
        """Stop watching."""
        self._is_watching = False
        if self._events >= 0:
            os.close(self._events)
            self._events = -1

    def _add(self, folder: str) -> bool:
        return bool(_libc.inotify_add_watch(self._events, os.fsencode(folder), CHANGES) >= 0)
