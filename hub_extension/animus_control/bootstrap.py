# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The only module that names concrete adapters: it puts the process together, runs it, and takes it apart again.

On SIGTERM the listening socket closes first, waiting streams and long polls end, answers under way are finished, and
the database closes last.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

from jupyterhub.services.auth import HubOAuth  # type: ignore[import-untyped]  # it ships no types
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback
from tornado.netutil import bind_sockets

from animus_control.api.application import AnimusApplication
from animus_control.api.authentication import Authenticator, Users
from animus_control.api.browser import Browser
from animus_control.api.edge import Edge
from animus_control.api.hub_groups import HubGroups, follow_groups
from animus_control.api.hub_users import HubUsers
from animus_control.api.pages import page_routes
from animus_control.api.parsing import MAX_HEADER_BYTES
from animus_control.api.wakeups import Wakeups
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import SYSTEM
from animus_control.domain.limits import Limits
from animus_control.failpoints import arm
from animus_control.services.approvals import expire_approvals
from animus_control.services.calls import Call
from animus_control.services.firings import fire_due, resume_firings
from animus_control.services.pipeline_steps import sweep
from animus_control.services.ports import Database, UnitOfWork
from animus_control.services.reconcile import reconcile
from animus_control.services.run_repositories import StoredToken
from animus_control.services.tasks import return_lost_tasks
from animus_control.settings import Settings
from animus_control.storage.clock import SteadyClock
from animus_control.storage.engine import SchemaError, open_database
from animus_control.storage.objects import open_object_store
from animus_control.worker import Worker

RECONCILE_SECONDS = 3.0
PIPELINE_SECONDS = 5.0
EXPIRE_SECONDS = 10.0
FIRE_SECONDS = 1.0
GROUPS_SECONDS = 2.0
SWEEP_SECONDS = 3600.0
PRUNE_SECONDS = 600.0
FOLLOW_SECONDS = 10.0
GRACE_SECONDS = 10.0
READERS = 8
CHUNK_BYTES = 256 * 1024

log = logging.getLogger("animus.control")


class StartError(RuntimeError):
    """It cannot start with what it was given; the message says why, in one line for the operator's log."""


async def run(settings: Settings, *, every_half_second: Callable[[], None]) -> None:
    """Serve until SIGTERM or SIGINT, and call ``every_half_second`` meanwhile."""
    if settings.failpoints:
        log.warning(
            '{"event": "failpoints_armed", "points": "%s"}', " ".join(rule.point for rule in settings.failpoints)
        )
    arm(settings.failpoints)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with serving(settings) as address:
        log.info('{"event": "listening", "address": "%s"}', address)
        ticks = PeriodicCallback(every_half_second, 500)
        ticks.start()
        await stop.wait()
        ticks.stop()
        log.info('{"event": "stopping"}')


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[str]:
    """Serve while the block lasts; yields the address.

    Raises:
        StartError: If the database cannot be opened.
    """
    try:
        database = await asyncio.to_thread(open_database, settings.database_url)
        clock = await asyncio.to_thread(SteadyClock, database.now)
    except (AnimusError, SchemaError) as error:
        cause = str(error.__cause__ or "").partition("\n")[0]
        raise StartError(f"the database cannot be opened: {error} {cause}".rstrip()) from error
    users = HubUsers(settings.hub_api_url, platform_admins=settings.platform_admins)
    groups = HubGroups(settings.hub_api_url, settings.hub_api_token)
    edge = build_edge(settings, database, users, clock)
    unsubscribe = database.subscribe(edge.wakeups.notify)
    server = build_server(edge, settings)
    sockets = bind_sockets(settings.port, settings.host)
    server.add_sockets(sockets)
    worker = start_worker(edge, clock, groups)
    try:
        yield f"http://{settings.host}:{sockets[0].getsockname()[1]}{edge.prefix}"
    finally:
        server.stop()
        edge.wakeups.close()
        await worker.stop()
        await _finish(server, edge)
        unsubscribe()
        users.close()
        groups.close()
        await asyncio.to_thread(database.close)
        edge.readers.shutdown()


def build_edge(settings: Settings, database: Database, users: Users, clock: SteadyClock) -> Edge:
    """Put together what handlers need."""
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
    loop = asyncio.get_running_loop()

    async def find_token(hashed: str) -> StoredToken | None:
        return await loop.run_in_executor(readers, database.read, _finder(hashed))

    authenticator = Authenticator(
        users=users,
        executors=settings.executors,
        find_token=find_token,
        clock=clock,
    )
    return Edge(
        prefix=settings.prefix,
        database=database,
        objects=open_object_store(settings.objects_url),
        authenticator=authenticator,
        limits=limits_of(settings),
        wakeups=Wakeups(loop),
        readers=readers,
        browser=Browser(build_hub_auth(settings)) if settings.hub_client_id else None,
        max_object_bytes=settings.max_object_bytes,
        clock=clock,
    )


def limits_of(settings: Settings) -> Limits:
    """Return the bounds that this installation sets."""
    return Limits(
        lease=timedelta(seconds=settings.lease_seconds),
        approval=timedelta(seconds=settings.approval_seconds),
        schedule_interval=timedelta(seconds=settings.schedule_seconds),
        repository_schemes=settings.repository_schemes,
    )


def build_hub_auth(settings: Settings) -> HubOAuth:
    """Build the OAuth client with which browsers are signed in."""
    return HubOAuth(
        api_url=settings.hub_api_url,
        api_token=settings.hub_api_token,
        base_url=settings.prefix,
        oauth_client_id=settings.hub_client_id,
        cache_max_age=1,
    )


def build_server(edge: Edge, settings: Settings) -> HTTPServer:
    """Build the HTTP server around the application."""
    application_settings: dict[str, Any] = {"hub_auth": edge.browser.hub_auth} if edge.browser else {}
    application = AnimusApplication(edge, pages=page_routes(edge), **application_settings)
    return HTTPServer(
        application,
        max_header_size=MAX_HEADER_BYTES,
        max_body_size=settings.max_object_bytes,  # handlers of JSON have a limit of their own
        chunk_size=CHUNK_BYTES,
        xheaders=False,
    )


def start_worker(edge: Edge, clock: SteadyClock, groups: HubGroups) -> Worker:
    """Start what happens without being asked for."""

    def system_call() -> Call:
        return edge.call(SYSTEM, request_id=uuid.uuid4().hex, path={})

    def sweep_pipelines(uow: UnitOfWork) -> int:
        return sweep(uow, system_call())

    worker = Worker(edge.database)
    worker.every(FOLLOW_SECONDS, "clock", lambda _uow: clock.follow(FOLLOW_SECONDS))
    watching = min(RECONCILE_SECONDS, edge.limits.lease.total_seconds() / 10)  # a break must be short beside a lease
    worker.listen(watching, "reconcile", lambda uow, listened: reconcile(uow, system_call(), listened))
    worker.every(EXPIRE_SECONDS, "approvals", lambda uow: expire_approvals(uow, system_call()))
    worker.every(FIRE_SECONDS, "schedules", lambda uow: fire_due(uow, system_call()))
    worker.every(FIRE_SECONDS, "firings", lambda uow: resume_firings(uow, system_call()))
    worker.repeat(SWEEP_SECONDS, "parts", edge.objects.sweep)
    worker.repeat(GROUPS_SECONDS, "groups", lambda: follow_groups(edge, groups))
    worker.every(RECONCILE_SECONDS, "tasks", lambda uow: return_lost_tasks(uow, system_call()))
    worker.every(PIPELINE_SECONDS, "pipelines", sweep_pipelines)
    worker.every(PRUNE_SECONDS, "prune", lambda uow: uow.idempotency.prune(edge.clock()))
    return worker


def _finder(hashed: str) -> Callable[[UnitOfWork], StoredToken | None]:
    return lambda uow: uow.tokens.find(hashed)


async def _finish(server: HTTPServer, edge: Edge) -> None:
    try:
        async with asyncio.timeout(GRACE_SECONDS):
            while edge.in_flight:  # noqa: ASYNC110 - once per process; an event would cost every request
                await asyncio.sleep(0.02)
    except TimeoutError:
        log.warning('{"event": "connections_cut"}')
    await server.close_all_connections()
