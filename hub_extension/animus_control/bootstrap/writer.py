# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The process that decides and writes, and does what happens without being asked for; only the edge reaches it."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from multiprocessing.process import BaseProcess

from animus_control.api.backend import Backend
from animus_control.api.desk import LocalDesk
from animus_control.api.hub_groups import HubGroups, follow_groups
from animus_control.api.link import DeskServer
from animus_control.api.link_messages import Ready
from animus_control.bootstrap.errors import StartError
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import SYSTEM
from animus_control.services.approvals import expire_approvals
from animus_control.services.calls import Call
from animus_control.services.firings import fire_due, resume_firings
from animus_control.services.pipeline_steps import sweep
from animus_control.services.ports import Database, UnitOfWork
from animus_control.services.reconcile import reconcile
from animus_control.services.repeats import resume_retries
from animus_control.services.tasks import return_lost_tasks
from animus_control.settings import Settings, limits_of
from animus_control.storage.clock import SteadyClock
from animus_control.storage.engine import SchemaError, open_database
from animus_control.storage.writer import Soon
from animus_control.worker import Worker

RECONCILE_SECONDS = 3.0
PIPELINE_SECONDS = 5.0
EXPIRE_SECONDS = 10.0
FIRE_SECONDS = 1.0
GROUPS_SECONDS = 2.0
PRUNE_SECONDS = 600.0
FOLLOW_SECONDS = 10.0
EDGE_SECONDS = 15.0
"""Longer than the edge takes for the answers under way."""
READERS = 4
ROUNDS = 1
"""Of the loop, from a result to the answer on its way."""

log = logging.getLogger("animus.control")


async def decide(settings: Settings, link: socket.socket, edge: BaseProcess) -> int:
    """Decide and write until SIGTERM or SIGINT, or until the edge is gone; return the exit status.

    Args:
        settings: The settings.
        link: Our end of the socket to the edge.
        edge: The process at its other end.

    Raises:
        StartError: If the database cannot be opened.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with _working(settings) as backend:
        _, server = await loop.create_unix_connection(lambda: DeskServer(LocalDesk(backend)), sock=link)
        unsubscribe = backend.database.subscribe(server.wake)
        server.post(Ready())
        told = asyncio.create_task(stop.wait())
        await asyncio.wait([told, server.lost], return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            log.error('{"event": "edge_gone"}')
        edge.terminate()
        await asyncio.wait([server.lost], timeout=EDGE_SECONDS)
        told.cancel()
        unsubscribe()
        server.close()
    await loop.run_in_executor(None, edge.join, EDGE_SECONDS)
    if edge.is_alive():
        edge.kill()
    return 0 if stop.is_set() and edge.exitcode == 0 else 1


@asynccontextmanager
async def _working(settings: Settings) -> AsyncIterator[Backend]:
    database, clock = await _open(settings)
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
    backend = Backend(database=database, limits=limits_of(settings), readers=readers, clock=clock)
    groups = HubGroups(settings.hub_api_url, settings.hub_api_token)
    worker = start_worker(backend, clock, groups)
    try:
        yield backend
    finally:
        await worker.stop()
        groups.close()
        database.close()
        readers.shutdown()


def _after_answers(loop: asyncio.AbstractEventLoop) -> Soon:
    """Have work done on the loop's thread once it has sent the answers to what was done before."""

    def soon(work: Callable[[], None]) -> None:
        loop.call_soon_threadsafe(wait, ROUNDS, work)

    def wait(rounds: int, work: Callable[[], None]) -> None:
        if rounds:
            loop.call_soon(wait, rounds - 1, work)
        else:
            work()

    return soon


async def _open(settings: Settings) -> tuple[Database, SteadyClock]:
    # This process has nothing to do while it commits, so it writes on the thread of its loop.
    loop = asyncio.get_running_loop()
    try:
        database = await asyncio.to_thread(open_database, settings.database_url, _after_answers(loop))
        clock = await asyncio.to_thread(SteadyClock, database.now)
    except (AnimusError, SchemaError, OSError) as error:
        cause = str(error.__cause__ or "").partition("\n")[0]
        raise StartError(f"the database cannot be opened: {error} {cause}".rstrip()) from error
    return database, clock


def start_worker(backend: Backend, clock: SteadyClock, groups: HubGroups) -> Worker:
    """Start what happens without being asked for."""

    def system_call() -> Call:
        return backend.call(SYSTEM, request_id=uuid.uuid4().hex, path={})

    def sweep_pipelines(uow: UnitOfWork) -> int:
        return sweep(uow, system_call())

    worker = Worker(backend.database)
    worker.every(FOLLOW_SECONDS, "clock", lambda _uow: clock.follow(FOLLOW_SECONDS))
    lease = backend.limits.lease.total_seconds()
    watching = min(RECONCILE_SECONDS, lease / 10)  # a break must be short beside a lease
    worker.listen(watching, "reconcile", lambda uow, listened: reconcile(uow, system_call(), listened))
    worker.every(EXPIRE_SECONDS, "approvals", lambda uow: expire_approvals(uow, system_call()))
    worker.every(FIRE_SECONDS, "schedules", lambda uow: fire_due(uow, system_call()))
    worker.every(FIRE_SECONDS, "firings", lambda uow: resume_firings(uow, system_call()))
    worker.every(FIRE_SECONDS, "retries", lambda uow: resume_retries(uow, system_call()))
    worker.repeat(GROUPS_SECONDS, "groups", lambda: follow_groups(backend, groups))
    worker.every(RECONCILE_SECONDS, "tasks", lambda uow: return_lost_tasks(uow, system_call()))
    worker.every(PIPELINE_SECONDS, "pipelines", sweep_pipelines)
    worker.every(PRUNE_SECONDS, "prune", lambda uow: uow.idempotency.prune(backend.clock()))
    return worker
