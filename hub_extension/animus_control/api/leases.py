# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor that asks for work waits until there is some: the commit that brings it wakes it, not a timer."""

from __future__ import annotations

from typing import Any

from animus_contracts.decoding import decode_json
from animus_control.api.operation import OperationHandler
from animus_control.api.wakeups import wait
from animus_control.services.executors import channel_of
from animus_control.services.moves import EVERY_QUEUE, queue_of
from animus_control.services.tasks import CHANNEL as TASKS

MAX_WAIT_SECONDS = 30.0


class LongPollHandler(OperationHandler):
    """Answers as soon as there is something to tell, or with nothing when the time is over."""

    lasting = True
    _gone = False

    def on_connection_close(self) -> None:
        """Take nothing for an executor that hung up."""
        self._gone = True
        super().on_connection_close()

    async def operate(self) -> None:
        """Try, and try again at each wake-up."""
        self.require_open()
        message = self.message()
        deadline = self.edge.now() + min(max(message.wait_seconds, 0.0), MAX_WAIT_SECONDS)
        with self.edge.wakeups.waiting(*self.channels(message)) as event:
            while not self._gone:
                event.clear()
                answer = await self.perform(message)
                left = deadline - self.edge.now()
                tells = self.tells(decode_json(answer.body, self.endpoint.response))
                if tells or left <= 0 or self.edge.wakeups.closing:
                    self.reply(answer)
                    return
                await wait(event, left)

    post = operate

    def channels(self, message: Any) -> tuple[str, ...]:
        """Name what wakes the executor."""
        raise NotImplementedError

    def tells(self, reply: Any) -> bool:
        """Say whether there is something to tell."""
        return reply.lease is not None


class LeaseHandler(LongPollHandler):
    """Waits for a run."""

    def channels(self, message: Any) -> tuple[str, ...]:
        """Name the queue of the executor's platform, and what may concern every queue, such as a quota."""
        return queue_of(message.platform), EVERY_QUEUE


class TaskLeaseHandler(LongPollHandler):
    """Waits for a task, which any executor may do."""

    def channels(self, message: Any) -> tuple[str, ...]:
        """Name where tasks are announced."""
        del message
        return (TASKS,)


class CancellationsHandler(LongPollHandler):
    """Waits for attempts of the asking executor that are to be stopped."""

    def channels(self, message: Any) -> tuple[str, ...]:
        """Name what concerns this executor alone."""
        del message
        return (channel_of(self.principal.name),)

    def tells(self, reply: Any) -> bool:
        """Say whether one is to be stopped."""
        return bool(reply.cancel)
