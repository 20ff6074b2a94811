# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Live streams of what happens to a run or in a project, as server-sent events.

A reader resumes after the last event it saw (``Last-Event-ID``, or ``after``) and misses nothing: events come from
the store, commits only wake the stream. Rights are checked again with every batch, the credential with every ping,
so a lost right ends the stream. A run's stream ends after its last state was delivered; asked for again, it answers
204, which tells a browser to stop.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from http import HTTPStatus

from tornado.iostream import StreamClosedError

from animus_contracts.endpoint import Body
from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.pipeline_runs import PIPELINE_ENDS, PipelineChange, PipelineRun
from animus_contracts.run_events import RunEvent
from animus_contracts.runs import TERMINAL_STATES, Run
from animus_control.api.handler import EndpointHandler, encode
from animus_control.api.wakeups import wait
from animus_control.domain.errors import AnimusError, InvalidError
from animus_control.services import access
from animus_control.services.operations import OPERATIONS
from animus_control.services.ports import UnitOfWork

BATCH = 500
RUN_STATE = "run.state"

LiveEvent = RunEvent | PipelineChange
"""What a stream carries: each has an id from which it can be resumed, and a type."""

_EVENT_ID = re.compile(r"[0-9]{1,18}")


class _EventsHandler(EndpointHandler):
    lasting = True
    _gone = False

    def on_connection_close(self) -> None:
        """Stop for a reader that hung up."""
        self._gone = True
        super().on_connection_close()

    async def get(self) -> None:
        """Stream events until the reader leaves, loses its right, or there is nothing more to come."""
        after = self._position()
        project_id = await self.read(self._project_id)
        with self.edge.wakeups.waiting(self._channel(project_id)) as event:
            events, ended = await self._batch(after)
            if ended and not events:
                self.set_status(HTTPStatus.NO_CONTENT)
                self.finish()
                return
            try:
                await self._stream(event, events, after, ended=ended)
            except (StreamClosedError, AnimusError):
                pass  # the reader left, or may not read on: either way the stream just ends
            finally:
                if not self._finished:
                    self.finish()

    async def _stream(self, event: asyncio.Event, events: Sequence[LiveEvent], after: int, *, ended: bool) -> None:
        self.set_header("Content-Type", Body.EVENTS.value)
        self.set_header("X-Accel-Buffering", "no")
        await self.flush()
        while True:
            for item in events:
                self.write(_as_text(item))
                after = item.event_id
            await self.flush()
            if len(events) < BATCH:
                if ended:
                    return
                await self._wait(event)
            if self._gone or self.edge.wakeups.closing:
                return
            events, ended = await self._batch(after)

    async def _wait(self, event: asyncio.Event) -> None:
        if not await wait(event, self.edge.ping_seconds):
            self.write(": ping\n\n")
            self.principal = await self._authenticate()

    def _position(self) -> int:
        after: int = self.query().after
        header = self.request.headers.get("Last-Event-ID")
        if header is None:
            return after
        if _EVENT_ID.fullmatch(header) is None:
            raise InvalidError("invalid_query", "Last-Event-ID is not the id of an event")
        return int(header)

    async def _batch(self, after: int) -> tuple[Sequence[LiveEvent], bool]:
        return await self.edge.read(lambda uow: self._read(uow, after))

    def _project_id(self, uow: UnitOfWork) -> ProjectId:
        project = access.enter(uow, self.call(), self.endpoint).project
        if project is None:
            raise RuntimeError("event streams belong to a project")
        return project.project_id

    def _channel(self, project_id: ProjectId) -> str:
        raise NotImplementedError

    def _read(self, uow: UnitOfWork, after: int) -> tuple[Sequence[LiveEvent], bool]:
        raise NotImplementedError


class RunEventsHandler(_EventsHandler):
    """Everything that happens to one run."""

    def _channel(self, project_id: ProjectId) -> str:  # noqa: ARG002 - runs have channels of their own
        return f"run:{self.parameters['run']}"

    def _read(self, uow: UnitOfWork, after: int) -> tuple[Sequence[LiveEvent], bool]:
        call = access.enter(uow, self.call(), self.endpoint)
        run: Run = OPERATIONS["runs.read"](uow, call, None)
        events = uow.events.after(run.project_id, after, run_id=RunId(run.run_id), limit=BATCH)
        return events, run.state in TERMINAL_STATES


class PipelineEventsHandler(_EventsHandler):
    """Every change of a pipeline run, each with the nodes that are new since the one before."""

    def _channel(self, project_id: ProjectId) -> str:  # noqa: ARG002 - pipeline runs have channels of their own
        return f"pipeline:{self.parameters['pipeline']}"

    def _read(self, uow: UnitOfWork, after: int) -> tuple[Sequence[LiveEvent], bool]:
        call = access.enter(uow, self.call(), self.endpoint)
        run: PipelineRun = OPERATIONS["pipelines.read"](uow, call, None)
        ended = run.state in PIPELINE_ENDS
        if run.version <= after:
            return [], ended
        nodes = uow.pipelines.nodes(run.project_id, run.pipeline_run_id, after=after)
        change = PipelineChange(event_id=run.version, type="pipeline.changed", pipeline_run=run, nodes=nodes)
        return [change], ended


class ProjectEventsHandler(_EventsHandler):
    """Every change of state of a project's runs."""

    def _channel(self, project_id: ProjectId) -> str:
        return f"project:{project_id}"

    def _read(self, uow: UnitOfWork, after: int) -> tuple[Sequence[LiveEvent], bool]:
        project_id = self._project_id(uow)
        return uow.events.after(project_id, after, run_id=None, kind=RUN_STATE, limit=BATCH), False


def _as_text(event: LiveEvent) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event.event_id, event.type.encode(), encode(event))
