# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The database as the services know it: work goes in, and what comes out is durable."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from animus_control.services.ports import UnitOfWork
from animus_control.storage.failures import DRIVER_ERRORS, translate
from animus_control.storage.known import Known
from animus_control.storage.notifications import Notifications
from animus_control.storage.session import Session
from animus_control.storage.transaction import Transaction
from animus_control.storage.unit_of_work import StoredUnitOfWork
from animus_control.storage.writer import Soon, Writer

T = TypeVar("T")

CHECK_SECONDS = 5.0


class ReadableStore:
    """A database that is read.

    Args:
        reader: Engine of the readers; its connections cannot write.
    """

    def __init__(self, reader: Engine) -> None:
        self._reader = reader

    def read(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run work that only reads, on this thread, in one consistent snapshot.

        Raises:
            AnimusError: ``service_unavailable`` when the database cannot answer.
            ReadOnlyError: If the work tried to write.
        """
        try:
            with self._reader.begin() as connection:
                session = Session(Transaction(connection, Known()), writable=False)
                return work(StoredUnitOfWork(session))
        except (DBAPIError, PoolTimeoutError, *DRIVER_ERRORS) as error:
            raise translate(error) from error

    def now(self) -> datetime:
        """Return the database's present; SQLite has no other than this machine's.

        Raises:
            AnimusError: ``service_unavailable`` when the database cannot answer.
        """
        if self._reader.dialect.name == "sqlite":
            return datetime.now(UTC)
        try:
            with self._reader.connect() as connection:
                present: datetime = connection.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
                return present.astimezone(UTC)
        except (DBAPIError, PoolTimeoutError) as error:
            raise translate(error) from error

    def close(self) -> None:
        """Release everything."""
        self._reader.dispose()


class StoredDatabase(ReadableStore):
    """A database with one writer thread and many readers.

    Args:
        writer: Engine of the writer.
        reader: Engine of the readers; its connections cannot write.
        soon: Has a function called soon on the thread that writes; see :class:`Writer`.
    """

    def __init__(self, writer: Engine, reader: Engine, soon: Soon | None = None) -> None:
        super().__init__(reader)
        self._engine = writer
        self._notifications = Notifications(writer)
        self._writer = Writer(
            writer, announce=self._notifications.announce, notify=self._notifications.deliver, soon=soon
        )

    def begin(self, work: Callable[[UnitOfWork], T], tell: Callable[[T | None, Exception | None], object]) -> None:
        """Queue work for the writer; see :class:`animus_control.services.ports.Database`."""
        self._writer.submit(work, tell)

    def write(self, work: Callable[[UnitOfWork], T]) -> Future[T]:
        """Queue work for the writer; see :class:`animus_control.services.ports.Database`."""
        future: Future[T] = Future()
        self.begin(work, partial(_settle, future))
        return future

    def subscribe(self, listener: Callable[[str], None]) -> Callable[[], None]:
        """Call ``listener(channel)`` after each notified commit, from any thread; returns the way to stop it."""
        return self._notifications.subscribe(listener)

    def check(self) -> None:
        """Raise when the database cannot be read and written; it writes, so a full disk is found.

        Raises:
            AnimusError: ``service_unavailable`` or ``storage_full``.
            TimeoutError: If the writer did not get to it in time.
        """
        now = datetime.now(UTC)
        written: Future[None] = Future()
        self._writer.submit(lambda uow: uow.touch(now), partial(_settle, written))
        written.result(CHECK_SECONDS)

    def close(self) -> None:
        """Finish the queued work and release everything."""
        self._writer.close()
        self._notifications.close()
        self._engine.dispose()
        super().close()


def _settle(future: Future[Any], result: Any, error: Exception | None) -> None:
    if not future.set_running_or_notify_cancel():
        return  # nobody waits any more
    if error is None:
        future.set_result(result)
    else:
        future.set_exception(error)
