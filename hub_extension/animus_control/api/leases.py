# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor that asks for work waits until there is some: a submission wakes it, not a timer."""

from __future__ import annotations

from functools import partial
from typing import Any

from animus_control.api.handler import encode
from animus_control.api.idempotency import Answer
from animus_control.api.operation import OperationHandler
from animus_control.api.wakeups import wait
from animus_control.services import access
from animus_control.services.moves import queue_of
from animus_control.services.tasks import CHANNEL as TASKS

MAX_WAIT_SECONDS = 30.0


class LeaseHandler(OperationHandler):
    """Answers with a lease as soon as there is one, or without one when the time is over."""

    lasting = True
    _gone = False

    def on_connection_close(self) -> None:
        """Take no lease for an executor that hung up."""
        self._gone = True
        super().on_connection_close()

    async def operate(self) -> None:
        """Try, and try again at each wake-up."""
        self.require_open()
        message = self.message()
        deadline = self.edge.now() + min(max(message.wait_seconds, 0.0), MAX_WAIT_SECONDS)
        with self.edge.wakeups.waiting(self.channel(message)) as event:
            while not self._gone:
                event.clear()
                lease = partial(access.perform, call=self.call(), endpoint=self.endpoint, message=message)
                reply = await self.decide(lease, write=True)
                left = deadline - self.edge.now()
                if reply.lease is not None or left <= 0 or self.edge.wakeups.closing:
                    self.reply(Answer(self.endpoint.status, encode(reply)))
                    return
                await wait(event, left)

    post = operate

    def channel(self, message: Any) -> str:
        """Name what wakes an executor that waits for a run."""
        return queue_of(message.platform)


class TaskLeaseHandler(LeaseHandler):
    """As :class:`LeaseHandler`, for tasks, which any executor may do."""

    def channel(self, message: Any) -> str:
        """Name what wakes an executor that waits for a task."""
        del message
        return TASKS
