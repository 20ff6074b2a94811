# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A supervisor listens in its run's folder: who connects hears which attempt it is, and counts as its executor.

Rules kept here:

* nothing is ordered over the connection: an executor cancels and kills by signals to a process that the system itself
  has named to it. What it tells is how long the run token lasts, and whatever else is said is not heard;
* no run goes on without an executor for ever: one that had none for its patience is given up.
"""

from __future__ import annotations

import os
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self

import msgspec

from animus_contracts.assignments import Renewed
from animus_contracts.decoding import decode_json

MESSAGES_BYTES = 4096


class Presence:
    """Watches who is there, from :meth:`__enter__` to :meth:`__exit__`.

    Args:
        address: Path of the socket.
        greeting: What everybody hears who connects.
        patience: How many seconds to go on without an executor.
        on_renewed: Called with the seconds that the run token lasts from now on.
        on_abandoned: Called once, when the patience is over.
    """

    def __init__(
        self,
        address: Path,
        greeting: bytes,
        *,
        patience: float,
        on_renewed: Callable[[float], None],
        on_abandoned: Callable[[], None],
    ) -> None:
        self._greeting = greeting
        self._patience = patience
        self._on_renewed = on_renewed
        self._on_abandoned = on_abandoned
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(address))
        address.chmod(0o600)
        self._listener.listen(8)
        self._over = os.eventfd(0, os.EFD_CLOEXEC)
        self._executors: dict[int, socket.socket] = {}
        self._thread = threading.Thread(target=self._run, name="presence", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.eventfd_write(self._over, 1)
        self._thread.join()
        for connection in (self._listener, *self._executors.values()):
            connection.close()
        os.close(self._over)

    def _run(self) -> None:
        events = select.poll()
        events.register(self._over, select.POLLIN)
        events.register(self._listener, select.POLLIN)
        alone_since = time.monotonic()
        while True:
            left = None if self._executors else max(0.0, alone_since + self._patience - time.monotonic())
            ready = {descriptor for descriptor, _ in events.poll(None if left is None else left * 1000)}
            if self._over in ready:
                return
            if left == 0.0:
                self._on_abandoned()
                return
            if self._listener.fileno() in ready:
                self._greet(events)
            for descriptor in ready & self._executors.keys():
                if not self._hears(self._executors[descriptor]):
                    events.unregister(descriptor)
                    self._executors.pop(descriptor).close()
                    alone_since = time.monotonic()

    def _hears(self, executor: socket.socket) -> bool:
        """Hear what an executor says; say whether it is still there."""
        try:
            said = executor.recv(MESSAGES_BYTES, socket.MSG_DONTWAIT)
        except OSError:
            return False
        for line in said.splitlines():  # the last one is the newest
            with suppress(msgspec.DecodeError):
                self._on_renewed(decode_json(line, Renewed).run_token_seconds)
        return bool(said)

    def _greet(self, events: select.poll) -> None:
        connection, _ = self._listener.accept()
        try:
            connection.sendall(self._greeting)
        except OSError:  # it went away again
            connection.close()
            return
        self._executors[connection.fileno()] = connection
        events.register(connection, select.POLLIN | select.POLLRDHUP)
