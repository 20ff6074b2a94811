# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Somebody's wish to stop a run is heard at once, by one long poll for all attempts of the executor.

The heartbeat tells it as well, later: what is missed here is not lost.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from typing import Protocol

from animus_contracts.executions import Cancellations, CancellationsRequest
from animus_contracts.identifiers import ExecutionId
from animus_executor.control_plane import ProtocolError
from animus_executor.handles import Handle

WAIT_SECONDS = 20.0
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
REMEMBERED = 256

log = logging.getLogger(__name__)


class Tells(Protocol):
    """Who knows what is to be stopped."""

    def cancellations(self, request: CancellationsRequest) -> Cancellations:
        """Wait until something is to be stopped."""


class CancellationWatch:
    """Waits for wishes and passes each on once.

    Args:
        control_plane: Who knows what is to be stopped.
        active: Attempts at work, by execution id.
    """

    def __init__(self, control_plane: Tells, active: Mapping[str, Handle]) -> None:
        self._control_plane = control_plane
        self._active = active
        self._told: dict[ExecutionId, None] = {}
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="cancellations", daemon=True)

    def start(self) -> None:
        """Start waiting."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for no further wish. A wait that goes on is abandoned with the process."""
        self._stopping.set()

    def _run(self) -> None:
        pause = FIRST_PAUSE
        while not self._stopping.is_set():
            request = CancellationsRequest(wait_seconds=WAIT_SECONDS, known=list(self._told))
            try:
                reply = self._control_plane.cancellations(request)
            except ProtocolError as error:
                log.info("no word about cancellations: %s", error)
                self._stopping.wait(pause)
                pause = min(pause * 2, LONGEST_PAUSE)
                continue
            pause = FIRST_PAUSE
            for execution_id in reply.cancel:
                self._pass_on(execution_id)

    def _pass_on(self, execution_id: ExecutionId) -> None:
        self._told[execution_id] = None
        if len(self._told) > REMEMBERED:
            del self._told[next(iter(self._told))]
        if handle := self._active.get(execution_id):
            handle.cancel()
