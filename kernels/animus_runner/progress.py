# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Events reach the control plane in order, within a quarter of a second, each counted once.

They go to the spool when they happen, and one thread sends what is there, repeating a batch until it is accepted; the
control plane skips what it has. So an outage is nothing but a longer way through the spool: one batch at a time, each
after the answer to the one before. Live text is bounded: a run that floods its output is told so, and the log artifact
has it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Self

import msgspec

from animus_contracts.run_events import EventsAccepted, ExecutionEvent, ReportEvents, StreamWritten
from animus_runner.exits import FailedError, LostError, UnreachableError
from animus_runner.spool import Spool

LINGER_SECONDS = 0.1
"""How long the first event of a batch waits for company."""

BATCH_EVENTS = 200
BATCH_BYTES = 256 * 1024
TEXT_PIECE = 16 * 1024
"""At most so many characters are one event; escaped they are less than a batch."""

LIVE_TEXT = 1 << 20
"""How many characters of output are shown live, per attempt."""

FLOODED = "\n[the live view ends here: the complete output is in the run's log]\n"


class Progress:
    """Spools and sends the events of one attempt.

    Args:
        epoch: Epoch of the attempt.
        send: Reports a batch; raises an :class:`~animus_runner.exits.AttemptError`.
        spool: Where they wait; what is in it is sent first.
    """

    def __init__(self, epoch: int, send: Callable[[ReportEvents], EventsAccepted], spool: Spool) -> None:
        self._epoch = epoch
        self._send = send
        self._spool = spool
        self._changed = threading.Condition()
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
        """Take an event; its ``sequence`` is given by the spool.

        Raises:
            SpoolFullError: If there is no room for it.
        """
        with self._changed:
            try:
                for piece in self._pieces(event):
                    self._spool.append(piece)
            finally:
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
        position = sent = 0
        while True:
            self._wait_for_company(position, sent)
            batch, position = self._spool.read(position, max_events=BATCH_EVENTS, max_bytes=BATCH_BYTES)
            if not batch or not self._deliver(batch):
                return
            sent += len(batch)

    def _wait_for_company(self, position: int, sent: int) -> None:
        def is_enough() -> bool:
            spool = self._spool
            return self._closing or spool.count - sent >= BATCH_EVENTS or spool.size - position >= BATCH_BYTES

        with self._changed:
            self._changed.wait_for(lambda: self._closing or self._spool.count > sent)
            self._changed.wait_for(is_enough, LINGER_SECONDS)

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
