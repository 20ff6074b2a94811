# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A real server on loopback, in a thread with an event loop of its own; only the Hub and the bytes are fakes."""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx
import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from animus_contracts.projects import Role
from animus_control.api.application import AnimusApplication
from animus_control.api.authentication import Authenticator, hash_token
from animus_control.api.backend import Backend, utc_now
from animus_control.api.desk import LocalDesk
from animus_control.api.edge import Edge
from animus_control.api.pages import page_routes
from animus_control.api.parsing import MAX_HEADER_BYTES
from animus_control.api.wakeups import Wakeups
from animus_control.domain.limits import Limits
from animus_control.services.ports import Database
from animus_control.storage.engine import open_database
from tests.fakes.object_store import MemoryObjectStore
from tests.fakes.users import FakeUsers, a_user
from tests.postgres_server import PostgresServer

PREFIX = "/services/animus/"
BOTH = ["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)]
TEMPLATE = "animus_template"
EXECUTOR_TOKEN = "executor-secret"
NO_TLS = ssl.create_default_context()  # made once, because making it takes longer than most tests
MAX_OBJECT_BYTES = 32 * 1024 * 1024

TOKENS = {
    "root": a_user("root", platform_admin=True),
    "ann": a_user("ann"),
    "ed": a_user("ed"),
    "vic": a_user("vic"),
    "eve": a_user("eve"),
    "bare": a_user("ann", role=None),
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server and what stands behind it."""

    url: str
    edge: Edge
    objects: MemoryObjectStore
    users: FakeUsers
    loop: asyncio.AbstractEventLoop
    application: AnimusApplication

    def client(self, token: str | None = None, **headers: str) -> httpx.Client:
        """Return a client of the API that carries a token."""
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        return httpx.Client(base_url=self.url + "api/v1", headers=headers, timeout=20, trust_env=False, verify=NO_TLS)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a module on SQLite, or on every engine when it says ``ENGINES = BOTH``."""
    if "engine" in metafunc.fixturenames:
        metafunc.parametrize("engine", getattr(metafunc.module, "ENGINES", ["sqlite"]), scope="module")


@pytest.fixture(scope="module")
def database(
    engine: str, request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Database]:
    if engine == "postgresql":
        postgres: PostgresServer = request.getfixturevalue("postgres_server")
        name = f"api_{uuid4().hex}"
        opened = open_database(postgres.create(name, template=TEMPLATE))
        yield opened
        opened.close()
        postgres.drop(name)
        return
    opened = open_database(f"sqlite:///{tmp_path_factory.mktemp('database') / 'animus.db'}")
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def server(database: Database) -> Iterator[Server]:
    with serve(database) as running:
        yield running


class serve:  # noqa: N801 - reads as a verb where it is used
    """Serve a database while the block lasts."""

    def __init__(self, database: Database, **edge: Any) -> None:
        self._database, self._more = database, edge
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="server")

    def __enter__(self) -> Server:
        self._thread.start()
        self._ready.wait(30)
        if self._failure is not None:
            raise self._failure
        return self.server

    def __exit__(self, *_: object) -> None:
        self.server.loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(30)
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            self._failure = error
            self._ready.set()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        objects, users = MemoryObjectStore(), FakeUsers(dict(TOKENS))
        edge = build_edge(self._database, objects, users, loop, **self._more)
        unsubscribe = self._database.subscribe(edge.wakeups.notify)
        hub_auth = {"hub_auth": edge.browser.hub_auth} if edge.browser else {}
        application = AnimusApplication(edge, pages=page_routes(edge), **hub_auth)
        http = HTTPServer(application, max_header_size=MAX_HEADER_BYTES, max_body_size=edge.max_object_bytes)
        sockets = bind_sockets(0, "127.0.0.1")
        http.add_sockets(sockets)
        url = f"http://127.0.0.1:{sockets[0].getsockname()[1]}{PREFIX}"
        self.server = Server(url, edge, objects, users, loop, application)
        self._ready.set()
        await self._stop.wait()
        http.stop()
        edge.wakeups.close()
        await http.close_all_connections()
        unsubscribe()
        edge.readers.shutdown()


def build_edge(
    database: Database, objects: MemoryObjectStore, users: FakeUsers, loop: asyncio.AbstractEventLoop, **more: Any
) -> Edge:
    readers = ThreadPoolExecutor(4)

    async def find_token(hashed: str) -> Any:
        return await loop.run_in_executor(readers, database.read, lambda uow: uow.tokens.find(hashed))

    executors = {"local": hash_token(EXECUTOR_TOKEN)}
    limits = more.get("limits", Limits(repository_schemes=frozenset({"https", "file"})))
    clock = more.get("clock", utc_now)
    fields: dict[str, Any] = {
        "prefix": PREFIX,
        "database": database,
        "objects": objects,
        "authenticator": Authenticator(users=users, executors=executors, find_token=find_token, clock=clock),
        "desk": LocalDesk(Backend(database=database, limits=limits, readers=readers, clock=clock)),
        "limits": limits,
        "wakeups": Wakeups(loop),
        "readers": readers,
        "max_object_bytes": MAX_OBJECT_BYTES,
    }
    return Edge(**(fields | more))


def key() -> dict[str, str]:
    """Return a fresh Idempotency-Key header."""
    return {"Idempotency-Key": uuid4().hex}


@pytest.fixture
def client(server: Server) -> Iterator[Callable[..., httpx.Client]]:
    opened: list[httpx.Client] = []

    def open_client(token: str | None = None, **headers: str) -> httpx.Client:
        opened.append(server.client(token, **headers))
        return opened[-1]

    yield open_client
    for one in opened:
        one.close()


@pytest.fixture(scope="module")
def project(server: Server) -> str:
    """Return the name of a project in which ann is admin, ed editor and vic viewer."""
    name = f"p{uuid4().hex[:12]}"
    with server.client("root") as root:
        root.post("/projects", json={"name": name}, headers=key()).raise_for_status()
        for subject, role in (("ann", Role.ADMIN), ("ed", Role.EDITOR), ("vic", Role.VIEWER)):
            binding = {"subject_type": "user", "subject": subject, "role": role}
            root.post(f"/projects/{name}/role-bindings", json=binding, headers=key()).raise_for_status()
    return name
