# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Events reach the control plane in order, within a quarter of a second, each counted once.

They are numbered when they happen and sent by one thread, which repeats a batch until it is accepted; the control
plane skips what it has. Live text is bounded: a run that floods its output is told so, and the log artifact has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

import msgspec

from animus_contracts.run_events import EventsAccepted, ExecutionEvent, ReportEvents, StreamWritten
from animus_runner.exits import FailedError, LostError, UnreachableError

LINGER_SECONDS = 0.1
"""How long the first event of a batch waits for company."""

BATCH_EVENTS = 200
BATCH_TEXT = 256 * 1024
TEXT_PIECE = 16 * 1024
LIVE_TEXT = 1 << 20
"""How many characters of output are shown live, per attempt."""

FLOODED = "\n[the live view ends here: the complete output is in the run's log]\n"


class Progress:
    """Numbers, keeps and sends the events of one attempt.

    Args:
        epoch: Epoch of the attempt.
        send: Reports a batch; raises an :class:`~animus_runner.exits.AttemptError`.
    """

    def __init__(self, epoch: int, send: Callable[[ReportEvents], EventsAccepted]) -> None:
        self._epoch = epoch
        self._send = send
        self._changed = threading.Condition()
        self._waiting: list[ExecutionEvent] = []
        self._sequence = 0
        self._live_text = 0
        self._closing = False
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        if kind is not None:
            self._stopped.set()
        self._thread.join()

    def record(self, event: ExecutionEvent) -> None:
        """Take an event; its ``sequence`` is assigned here."""
        with self._changed:
            for piece in self._pieces(event):
                self._sequence += 1
                self._waiting.append(msgspec.structs.replace(piece, sequence=self._sequence))
            self._changed.notify()

    def _pieces(self, event: ExecutionEvent) -> list[ExecutionEvent]:
        if not isinstance(event, StreamWritten):
            return [event]
        room = LIVE_TEXT - self._live_text
        self._live_text += len(event.text)
        if room < 0:
            return []
        text = _storable(event.text if len(event.text) <= room else event.text[:room] + FLOODED)
        starts = range(0, len(text), TEXT_PIECE)
        return [msgspec.structs.replace(event, text=text[start : start + TEXT_PIECE]) for start in starts]

    def _run(self) -> None:
        while batch := self._next_batch():
            if not self._deliver(batch):
                return
            with self._changed:
                del self._waiting[: len(batch)]

    def _next_batch(self) -> list[ExecutionEvent]:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._closing)
            self._changed.wait_for(lambda: self._closing or len(self._waiting) >= BATCH_EVENTS, LINGER_SECONDS)
            size = count = 0
            for event in self._waiting[:BATCH_EVENTS]:
                size += len(event.text) if isinstance(event, StreamWritten) else 0
                if count and size > BATCH_TEXT:
                    break
                count += 1
            return self._waiting[:count]

    def _deliver(self, batch: list[ExecutionEvent]) -> bool:
        """Send until it is accepted; say whether there is any sense in sending more."""
        message = ReportEvents(epoch=self._epoch, events=batch)
        pause = 0.1
        while not self._stopped.is_set():
            try:
                self._send(message)
            except UnreachableError:
                self._stopped.wait(pause)
                pause = min(pause * 2, 2.0)
            except (LostError, FailedError):
                return False
            else:
                return True
        return False


def _storable(text: str) -> str:
    """Replace what JSON or a database cannot hold (lone surrogates, NUL): a refused batch would lose its metrics."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")
