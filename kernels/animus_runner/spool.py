# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The events of one attempt, in the run's folder: written when they happen, read when somebody takes them.

Rules kept here:

* an event is one line, and its number is the line's: what is sent twice is known as such by whoever takes it;
* memory holds none of it, however long nobody takes anything, and the file is bounded: what does not fit is refused;
* whatever follows the last whole line in order is no event (a process or a machine went down in the middle), and goes.

Nothing is synced. What a process wrote is there when the process is not, and with the machine the run itself is gone:
what is then missing of its last seconds would cost every run a wait for the disk.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import msgspec

from animus_contracts.decoding import json_decoder
from animus_contracts.run_events import ExecutionEvent

EVENTS_FILE = "events.jsonl"
MAX_BYTES = 64 << 20
"""Room for all metrics and all live text that a run may have, and for some hundred thousand cells."""

_DECODER = json_decoder(ExecutionEvent)


class SpoolFullError(Exception):
    """The spool has its size, or the disk has no room; the event is not in it."""


class Spool:
    """An append-only file of events; one thread appends, another may read.

    Args:
        path: The file; what it holds already is kept.
        max_bytes: How large it may become.

    Attributes:
        size: Bytes of events in it.
        count: How many; the next one has the number after.
    """

    def __init__(self, path: Path, max_bytes: int = MAX_BYTES) -> None:
        self._max_bytes = max_bytes
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self.size = self.count = 0
        for line in self._whole_lines(path):
            self.size += len(line)
            self.count += 1
        os.ftruncate(self._file, self.size)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def append(self, event: ExecutionEvent) -> None:
        """Write an event; its ``sequence`` is given here.

        Raises:
            SpoolFullError: If there is no room; nothing of it was written then.
        """
        line = msgspec.json.encode(msgspec.structs.replace(event, sequence=self.count + 1)) + b"\n"
        if self.size + len(line) > self._max_bytes:
            raise SpoolFullError(f"a run has at most {self._max_bytes} bytes of events")
        try:
            written = os.pwrite(self._file, line, self.size)
        except OSError as error:
            raise SpoolFullError(f"the events cannot be written: {error}") from error
        if written < len(line):  # the next one is written over what went in
            raise SpoolFullError("the disk is full")
        self.size += written
        self.count += 1

    def read(self, start: int, *, max_events: int, max_bytes: int) -> tuple[list[ExecutionEvent], int]:
        """Return events from a position on, at least one if there is one, and the position after them."""
        chunk = os.pread(self._file, min(max_bytes, self.size - start), start)
        lines = chunk.split(b"\n")[:-1][:max_events]
        return [_DECODER.decode(line) for line in lines], start + sum(map(len, lines)) + len(lines)

    def _whole_lines(self, path: Path) -> Iterator[bytes]:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n") or _sequence(line) != number:
                    return
                yield line


def _sequence(line: bytes) -> int:
    try:
        event: ExecutionEvent = _DECODER.decode(line)
    except msgspec.MsgspecError:
        return 0
    return event.sequence
