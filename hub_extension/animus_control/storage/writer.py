# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One thread writes. It takes all work that has arrived, does it piece by piece, and commits once.

It is a thread of the writer's own, or that of an event loop which has nothing better to do meanwhile: handing every
piece from one thread to another and back costs a fifth of a submission.

A piece that fails is rolled back alone and the others do not notice. When the transaction itself is lost, nobody in it
is told of success. Nobody is answered before the commit has returned. A piece may be done more than once, of which one
time counts (see :mod:`animus_control.storage.transaction`), so it changes nothing but its unit of work.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, RootTransaction
from sqlalchemy.exc import DBAPIError

from animus_control.domain.errors import AnimusError
from animus_control.failpoints import failpoint
from animus_control.storage.audit_log import Chain
from animus_control.storage.failures import DRIVER_ERRORS, translate
from animus_control.storage.known import Known
from animus_control.storage.session import Session
from animus_control.storage.transaction import MisplacedTrustError, Transaction
from animus_control.storage.unit_of_work import StoredUnitOfWork

T = TypeVar("T")

Soon = Callable[[Callable[[], None]], object]
"""Has a function called soon; callable from any thread."""

MOST_AT_ONCE = 256
SMALLEST_SHARE = 4
"""Of more than so many pieces only half are written together: who is answered asks again while the rest is written."""
LOG = logging.getLogger(__name__)


@dataclass(slots=True)
class _Piece:
    """A piece of work and what became of it."""

    work: Callable[[Any], Any]
    tell: Callable[[Any, Exception | None], object]
    result: Any = None
    error: Exception | None = None


class Writer:
    """What has arrived is done in turns, one after the other.

    Args:
        engine: Gives a connection on which a transaction locks out other writers.
        announce: Called inside the transaction with the connection and the channels to wake, before the commit.
        notify: Called with the channels to wake, after the commit.
        soon: Has the work done on a thread that is always the same; on one of the writer's own when it is None.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        announce: Callable[[Connection, Iterable[str]], None],
        notify: Callable[[Iterable[str]], None],
        soon: Soon | None = None,
    ) -> None:
        self._engine = engine
        self._announce = announce
        self._notify = notify
        self._known = Known()
        self._connection: Connection | None = None
        self._arrived: deque[_Piece] = deque()
        self._lock = threading.Lock()
        self._closed = False
        self._own = None if soon else ThreadPoolExecutor(1, thread_name_prefix="animus-writer")
        self._soon: Soon = soon or self._own.submit  # type: ignore[union-attr]  # one of the two is there

    def submit(
        self, work: Callable[[StoredUnitOfWork], T], tell: Callable[[T | None, Exception | None], object]
    ) -> None:
        """Queue a piece of work.

        Args:
            work: What to do.
            tell: Told the result when it is durable, or why there is none; on the thread on which the work is done.
        """
        with self._lock:  # so that nothing is queued behind the end
            is_closed = self._closed
            if not is_closed:
                self._arrived.append(_Piece(work, tell))
            is_first = len(self._arrived) == 1
        if is_closed:
            tell(None, AnimusError("service_unavailable", "the database is closed"))
        elif is_first:
            self._soon(self._turn)

    def close(self) -> None:
        """Finish what is queued and stop; called on the thread on which the work is done, if it is not our own."""
        with self._lock:
            was_closed, self._closed = self._closed, True
        if was_closed:
            return
        if self._own is None:
            self._finish()
        else:
            self._own.submit(self._finish)
            self._own.shutdown()

    def _finish(self) -> None:
        while self._arrived:
            self._turn()

    def _turn(self) -> None:
        with self._lock:
            half = max(SMALLEST_SHARE, (len(self._arrived) + 1) // 2)
            pieces = [self._arrived.popleft() for _ in range(min(len(self._arrived), half, MOST_AT_ONCE))]
            more = bool(self._arrived)
        if pieces:
            self._write(pieces)
        if not more:
            self._let_go()  # whoever waits for the next work holds nothing meanwhile
        elif not self._closed:
            self._soon(self._turn)

    def _write(self, pieces: list[_Piece]) -> None:
        channels: set[str] = set()
        try:
            channels = self._commit(pieces)
        except Exception as error:  # whatever it was, everyone who waits is told, and the writer goes on
            lost = translate(error) if isinstance(error, (DBAPIError, *DRIVER_ERRORS)) else error
            LOG.exception("a commit failed: %s", lost, exc_info=None if isinstance(lost, AnimusError) else lost)
            for piece in pieces:
                piece.error = piece.error or lost
        for piece in pieces:
            try:
                piece.tell(piece.result if piece.error is None else None, piece.error)
            except Exception:
                LOG.exception("one who was told of a commit failed")
        self._notify(channels)

    def _commit(self, pieces: list[_Piece]) -> set[str]:
        failpoint("before_tx")
        try:
            channels = self._attempt(pieces, exact=False)
        except MisplacedTrustError:
            channels = self._attempt(pieces, exact=True)
        failpoint("after_commit_before_reply")
        return channels

    def _attempt(self, pieces: list[_Piece], *, exact: bool) -> set[str]:
        channels: set[str] = set()
        try:
            with self._begin() as begun:
                connection = begun.connection
                self._known.begin(connection)
                transaction = Transaction(connection, self._known)
                uow = StoredUnitOfWork(Session(transaction, writable=True))
                chain = Chain(transaction)
                for piece in pieces:
                    channels |= _perform(piece, transaction, uow, chain, exact=exact)
                transaction.write_out()
                chain.close()
                self._announce(connection, channels)
                failpoint("after_flush")
        except Exception:
            self._known.clear()
            self._let_go()
            raise
        return channels

    def _begin(self) -> RootTransaction:
        """Begin a transaction on the connection of the one before, if the work has not paused since."""
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection.begin()

    def _let_go(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


def _perform(piece: _Piece, transaction: Transaction, uow: StoredUnitOfWork, chain: Chain, *, exact: bool) -> set[str]:
    """Do one piece of work and return whom to wake.

    A piece that fails after rows of it have been waiting is done again exactly: perhaps one of them would have been
    refused before it came to that.
    """
    uow.begin(exact=exact)
    session, piece.error = uow.session, None
    try:
        piece.result = piece.work(uow)
        failpoint("in_piece")
        uow.finish(chain)
    except Exception as error:  # it is the caller's, who gets it through the future
        if transaction.failure is not None:
            raise transaction.failure from error
        session.undo()
        if session.trusting:
            return _perform(piece, transaction, uow, chain, exact=True)
        piece.error = error
        return set()
    session.keep()
    return uow.notified
