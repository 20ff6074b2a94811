# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a server sends reaches the browser when it is sent, and as it was sent."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Awaitable, Callable

from configurable_http_proxy import configproxy
from tornado.httpclient import AsyncHTTPClient, HTTPResponse
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from animus_hub.proxy import MAX_ANSWERS, StreamingProxyHandler

Test = Callable[[str, "asyncio.Event", "asyncio.Event"], Awaitable[None]]


class Live(RequestHandler):
    """Sends a first event at once, and the last one when the test says ``go``."""

    async def get(self) -> None:
        self.set_header("Content-Type", "text/event-stream")
        self.add_header("Set-Cookie", "a=1")
        self.add_header("Set-Cookie", "b=2")
        self.write("data: first\n\n")
        await self.flush()
        await self.settings["go"].wait()
        self.write("data: last\n\n")


class Packed(RequestHandler):
    def get(self) -> None:
        self.set_header("Content-Encoding", "gzip")
        self.finish(gzip.compress(b"content"))


class Moved(RequestHandler):
    def get(self) -> None:
        self.redirect("/elsewhere")


class Gone(RequestHandler):
    def delete(self) -> None:
        self.set_status(204)
        self.finish()


HANDLERS = [("/live", Live), ("/packed", Packed), ("/moved", Moved), ("/gone", Gone)]


def through_the_proxy(test: Test) -> None:
    async def run() -> None:
        go, seen = asyncio.Event(), asyncio.Event()
        servers = [serve(Application(HANDLERS, go=go, log_function=lambda _: None))]
        configproxy.ProxyHandler = StreamingProxyHandler
        AsyncHTTPClient.configure(None, max_clients=MAX_ANSWERS)
        proxy = configproxy.PythonProxy({"auth_token": "t", "default_target": servers[0][1], "include_prefix": True})
        servers.append(serve(proxy.proxy_app))
        try:
            await asyncio.wait_for(test(servers[1][1], go, seen), 20)
        finally:
            AsyncHTTPClient().close()
            for server, _ in servers:
                server.stop()
                await server.close_all_connections()

    asyncio.run(run())


def serve(application: Application) -> tuple[HTTPServer, str]:
    server, sockets = HTTPServer(application), bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    return server, f"http://127.0.0.1:{sockets[0].getsockname()[1]}"


async def fetch(url: str, **options: object) -> HTTPResponse:
    return await AsyncHTTPClient().fetch(url, raise_error=False, follow_redirects=False, **options)  # type: ignore[arg-type]


def test_an_event_arrives_before_the_answer_has_ended_and_headers_arrive_as_sent() -> None:
    async def test(url: str, go: asyncio.Event, seen: asyncio.Event) -> None:
        parts: list[bytes] = []

        def on_part(part: bytes) -> None:
            parts.append(part)
            seen.set()

        following = asyncio.create_task(fetch(url + "/live", streaming_callback=on_part))
        await seen.wait()
        assert parts == [b"data: first\n\n"]
        go.set()
        answer = await following
        assert b"".join(parts) == b"data: first\n\ndata: last\n\n"
        assert answer.headers["Content-Type"] == "text/event-stream"
        assert answer.headers.get_list("Set-Cookie") == ["a=1", "b=2"]
        assert "Etag" not in answer.headers

    through_the_proxy(test)


def test_thirty_open_streams_leave_room_for_others() -> None:
    async def test(url: str, go: asyncio.Event, seen: asyncio.Event) -> None:
        following = [asyncio.create_task(fetch(url + "/live")) for _ in range(30)]
        await asyncio.sleep(0.2)
        assert (await fetch(url + "/moved")).code == 302
        go.set()
        assert {answer.code for answer in await asyncio.gather(*following)} == {200}
        assert not seen.is_set()

    through_the_proxy(test)


def test_packed_bytes_redirects_and_empty_answers_pass_unchanged() -> None:
    async def test(url: str, _go: asyncio.Event, _seen: asyncio.Event) -> None:
        packed = await fetch(url + "/packed", decompress_response=False)
        assert (gzip.decompress(packed.body), packed.headers["Content-Encoding"]) == (b"content", "gzip")
        moved = await fetch(url + "/moved")
        assert (moved.code, moved.headers["Location"]) == (302, "/elsewhere")
        gone = await fetch(url + "/gone", method="DELETE")
        assert (gone.code, gone.body) == (204, b"")

    through_the_proxy(test)


def test_a_target_that_is_down_is_a_service_unavailable() -> None:
    async def run() -> None:
        configproxy.ProxyHandler = StreamingProxyHandler
        proxy = configproxy.PythonProxy(
            {"auth_token": "t", "default_target": "http://127.0.0.1:9", "include_prefix": True}
        )
        server, url = serve(proxy.proxy_app)
        answer = await fetch(url + "/anything")
        assert answer.code == 503
        server.stop()
        AsyncHTTPClient().close()
        await server.close_all_connections()

    asyncio.run(run())
