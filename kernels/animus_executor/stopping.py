# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A process is told to end by a signal, at any moment, perhaps twice: so what the signal's handler does takes no lock.

A second signal can interrupt the handler of the first one. An event of ``threading`` would wait then for its own lock
for ever; a byte in a pipe is there or it is there already.
"""

from __future__ import annotations

import os
import select
from contextlib import suppress


class Stopping:
    """Whether this process has been told to end."""

    def __init__(self) -> None:
        self._told, self._tell = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)

    def set(self) -> None:
        """Tell it; a signal handler may."""
        with suppress(BlockingIOError):  # the pipe is full of it
            os.write(self._tell, b"!")

    def wait(self, seconds: float) -> bool:
        """Wait so long at most, and say whether it has been told."""
        return bool(select.select([self._told], [], [], seconds)[0])
