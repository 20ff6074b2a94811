# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the Hub says of somebody's groups, and that nothing it leaves unsaid is taken for "no groups"."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from animus_control.api.hub_groups import NOT_ALLOWED, UNREACHABLE, HubGroups
from animus_control.domain.user_groups import KnownGroups

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LAB = frozenset({"lab"})


def told(groups: frozenset[str] | None) -> KnownGroups:
    return KnownGroups(name="a/n n", groups=groups, as_of=NOW)


def failed(why: str) -> KnownGroups:
    return KnownGroups(name="a/n n", failure=why)


def ask(status: int, body: str) -> KnownGroups:
    """Ask a Hub that gives this answer about the user ``a/n n``."""

    class User(RequestHandler):
        async def get(self, name: str) -> None:
            assert (name, self.request.headers["Authorization"]) == ("a/n n", "token secret")
            self.set_status(status)
            await self.finish(body)

    async def run() -> KnownGroups:
        sockets = bind_sockets(0, "127.0.0.1")
        server = HTTPServer(Application([("/hub/api/users/([^/]+)", User)], log_function=lambda _: None))
        server.add_sockets(sockets)
        hub = HubGroups(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api/", "secret")
        try:
            return await hub.ask("a/n n", NOW)
        finally:
            hub.close()
            server.stop()
            await server.close_all_connections()

    return asyncio.run(run())


ANSWERS: dict[str, tuple[int, str, KnownGroups]] = {
    "groups": (200, '{"name": "ann", "groups": ["lab"], "more": 1}', told(LAB)),
    "no groups": (200, '{"groups": []}', told(frozenset())),
    "mirrors of our own bindings": (200, '{"groups": ["animus:wine:admin", "lab"]}', told(LAB)),
    "no such user": (404, '{"status": 404}', told(None)),
    "a scope that leaves groups out": (200, '{"name": "ann"}', failed(NOT_ALLOWED)),
    "no scope": (403, "{}", failed(NOT_ALLOWED)),
    "no good token": (401, "{}", failed(NOT_ALLOWED)),
    "an error": (500, "{}", failed(UNREACHABLE)),
    "a redirection": (302, "", failed(UNREACHABLE)),
    "no JSON": (200, "<html>", failed(UNREACHABLE)),
    "something else": (200, "[]", failed(UNREACHABLE)),
    "groups of another kind": (200, '{"groups": [1]}', failed(UNREACHABLE)),
}


@pytest.mark.parametrize(("status", "body", "known"), ANSWERS.values(), ids=ANSWERS)
def test_only_a_clear_answer_of_the_hub_is_an_answer(status: int, body: str, known: KnownGroups) -> None:
    assert ask(status, body) == known


def test_a_hub_that_is_down_is_no_answer() -> None:
    async def run() -> KnownGroups:
        hub = HubGroups("http://127.0.0.1:9/hub/api", "secret")
        try:
            return await hub.ask("ann", NOW)
        finally:
            hub.close()

    assert asyncio.run(run()) == KnownGroups(name="ann", failure=UNREACHABLE)
