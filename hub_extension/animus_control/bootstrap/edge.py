# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The process that speaks HTTP: it authenticates and reads; what may change something it asks the writer for.

On SIGTERM the listening socket closes first, waiting streams and long polls end, answers under way are finished, and
the link to the writer closes last.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

from jupyterhub.services.auth import HubOAuth  # type: ignore[import-untyped]  # it ships no types
from tornado.httpserver import HTTPServer
from tornado.ioloop import PeriodicCallback

from animus_control.api.application import AnimusApplication
from animus_control.api.authentication import Authenticator, Users
from animus_control.api.browser import Browser
from animus_control.api.desk import Desk
from animus_control.api.edge import Edge
from animus_control.api.hub_users import HubUsers
from animus_control.api.link import RemoteDesk
from animus_control.api.pages import page_routes
from animus_control.api.parsing import MAX_HEADER_BYTES
from animus_control.api.wakeups import Wakeups
from animus_control.domain.errors import AnimusError
from animus_control.services.ports import ReadableDatabase, UnitOfWork
from animus_control.services.run_repositories import StoredToken
from animus_control.settings import Settings, limits_of
from animus_control.storage.clock import SteadyClock
from animus_control.storage.engine import open_for_reading
from animus_control.storage.objects import open_object_store
from animus_control.worker import repeat

FOLLOW_SECONDS = 10.0
SWEEP_SECONDS = 3600.0
GRACE_SECONDS = 10.0
READERS = 8
CHUNK_BYTES = 256 * 1024

log = logging.getLogger("animus.control")


async def serve(
    settings: Settings,
    link: socket.socket,
    listening: Sequence[socket.socket],
    *,
    every_half_second: Callable[[], None],
) -> int:
    """Serve until SIGTERM or SIGINT, or until the writer is gone; return the exit status.

    Args:
        settings: The settings.
        link: Our end of the socket to the writer.
        listening: Sockets on which callers are awaited.
        every_half_second: Called so often.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    wakeups = Wakeups(loop)
    _, desk = await loop.create_unix_connection(lambda: RemoteDesk(wakeups.notify), sock=link)
    try:
        await desk.ready
    except AnimusError:
        return 1  # the writer has said why it cannot start
    desk.lost.add_done_callback(lambda _: stop.set())
    ticks = PeriodicCallback(every_half_second, 500)
    ticks.start()
    async with _serving(settings, desk, wakeups, listening) as address:
        log.info('{"event": "listening", "address": "%s"}', address)
        await stop.wait()
        log.info('{"event": "stopping"}')
    ticks.stop()
    every_half_second()
    gone = desk.lost.done()
    desk.close()
    return 1 if gone else 0


@asynccontextmanager
async def _serving(
    settings: Settings, desk: Desk, wakeups: Wakeups, listening: Sequence[socket.socket]
) -> AsyncIterator[str]:
    database = await asyncio.to_thread(open_for_reading, settings.database_url)
    clock = await asyncio.to_thread(SteadyClock, database.now)
    users = HubUsers(settings.hub_api_url, platform_admins=settings.platform_admins)
    edge = build_edge(settings, database, desk, users=users, clock=clock, wakeups=wakeups)
    server = build_server(edge, settings)
    jobs = [
        asyncio.create_task(job)
        for job in (
            repeat(FOLLOW_SECONDS, "clock", lambda: asyncio.to_thread(clock.follow, FOLLOW_SECONDS)),
            repeat(SWEEP_SECONDS, "parts", edge.objects.sweep),
        )
    ]
    server.add_sockets(listening)
    try:
        yield f"http://{settings.host}:{listening[0].getsockname()[1]}{edge.prefix}"
    finally:
        server.stop()
        wakeups.close()
        await _finish(server, edge)
        for job in jobs:
            job.cancel()
        users.close()
        edge.readers.shutdown()
        database.close()


def build_edge(
    settings: Settings,
    database: ReadableDatabase,
    desk: Desk,
    *,
    users: Users,
    clock: SteadyClock,
    wakeups: Wakeups,
) -> Edge:
    """Put together what handlers need."""
    readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
    loop = asyncio.get_running_loop()

    async def find_token(hashed: str) -> StoredToken | None:
        return await loop.run_in_executor(readers, database.read, _finder(hashed))

    return Edge(
        prefix=settings.prefix,
        database=database,
        desk=desk,
        objects=open_object_store(settings.objects_url),
        authenticator=Authenticator(users=users, executors=settings.executors, find_token=find_token, clock=clock),
        limits=limits_of(settings),
        wakeups=wakeups,
        readers=readers,
        browser=Browser(build_hub_auth(settings)) if settings.hub_client_id else None,
        max_object_bytes=settings.max_object_bytes,
        clock=clock,
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
    # Whoever was signed in by one control plane continues at another; the token is the secret that all of them have.
    secret = hmac.digest(settings.hub_api_token.encode(), b"animus cookies", "sha256") if edge.browser else None
    application = AnimusApplication(edge, pages=page_routes(edge), cookie_secret=secret, **application_settings)
    return HTTPServer(
        application,
        max_header_size=MAX_HEADER_BYTES,
        max_body_size=settings.max_object_bytes,  # handlers of JSON have a limit of their own
        chunk_size=CHUNK_BYTES,
        xheaders=False,
    )


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
