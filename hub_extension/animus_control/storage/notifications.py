# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who waits is woken, not polled: at once within this process, and through PostgreSQL across processes.

A notification carries nothing but the name of a channel; who is woken reads what is new. Those of other processes may
be lost while the connection that listens is being mended, so nobody may rely on them alone.
"""

from __future__ import annotations

import logging
import secrets
import select
import socket
import threading
from collections.abc import Callable, Iterable

import psycopg
from sqlalchemy import Connection, Engine, text

LOG = logging.getLogger(__name__)
TOPIC = "animus"
MEND_SECONDS = 1.0
ALIVE_SECONDS = 15.0
_ANNOUNCE = text("SELECT pg_notify(:topic, payload) FROM unnest(CAST(:payloads AS text[])) AS payload")


class Notifications:
    """Listeners of this process, and the line to other processes.

    Args:
        engine: Engine of the database; on PostgreSQL it also says where to listen.
    """

    def __init__(self, engine: Engine) -> None:
        self._listeners: dict[object, Callable[[str], None]] = {}
        self._lock = threading.Lock()
        self._origin = secrets.token_hex(8)  # our own announcements come back, and were delivered already
        self._shared = engine.dialect.name == "postgresql"
        self._closing = threading.Event()
        self._waker, self._wakened = socket.socketpair()
        self._thread: threading.Thread | None = None
        if self._shared:
            self._thread = threading.Thread(target=self._listen, args=(engine,), name="animus-listener", daemon=True)
            self._thread.start()

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Add a listener and return the way to remove it."""
        key = object()
        with self._lock:
            self._listeners[key] = listener

        def stop() -> None:
            with self._lock:
                self._listeners.pop(key, None)

        return stop

    def announce(self, connection: Connection, channels: Iterable[str]) -> None:
        """Tell other processes, if the transaction commits."""
        payloads = [f"{self._origin} {channel}" for channel in channels]
        if self._shared and payloads:
            connection.execute(_ANNOUNCE, {"topic": TOPIC, "payloads": payloads})

    def deliver(self, channels: Iterable[str]) -> None:
        """Wake the listeners of this process."""
        with self._lock:
            listeners = list(self._listeners.values())
        for channel in channels:
            for listener in listeners:
                try:
                    listener(channel)
                except Exception:
                    LOG.exception("a listener failed")

    def close(self) -> None:
        """Stop listening."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._waker.send(b"1")
        if self._thread is not None:
            self._thread.join()
        self._waker.close()
        self._wakened.close()

    def _listen(self, engine: Engine) -> None:
        _, options = engine.dialect.create_connect_args(engine.url)
        while not self._closing.is_set():
            try:
                with psycopg.connect(**options, autocommit=True) as connection:
                    connection.execute(f"LISTEN {TOPIC}")
                    self._forward(connection)
            except psycopg.Error as error:
                LOG.warning("the connection that listens for notifications was lost: %s", type(error).__name__)
                self._closing.wait(MEND_SECONDS)

    def _forward(self, connection: psycopg.Connection) -> None:
        while not self._closing.is_set():
            for notification in connection.notifies(timeout=0):
                origin, _, channel = notification.payload.partition(" ")
                if origin != self._origin:
                    self.deliver([channel])
            if not select.select([connection.fileno(), self._wakened.fileno()], [], [], ALIVE_SECONDS)[0]:
                connection.execute("SELECT 1")  # a connection that died silently would never become readable
