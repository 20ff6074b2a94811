# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a Hub token may do at most, and how long the Hub's word counts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler

from animus_contracts.projects import Role
from animus_control.api.hub_users import HubModel, HubUsers, ceiling_of, principal_of
from animus_control.domain.errors import AnimusError

CEILINGS: dict[str, tuple[list[str], dict[str, Role]]] = {
    "nothing": ([], {}),
    "every project": (["custom:animus:project:editor"], {"*": Role.EDITOR}),
    "one project": (["custom:animus:project:viewer!group=animus:wine:viewer"], {"wine": Role.VIEWER}),
    "the scope's role counts, not the group's": (
        ["custom:animus:project:viewer!group=animus:wine:admin"],
        {"wine": Role.VIEWER},
    ),
    "the best of several": (
        ["custom:animus:project:admin", "custom:animus:project:viewer", "custom:animus:project:editor"],
        {"*": Role.ADMIN},
    ),
    "both kinds": (
        ["custom:animus:project:viewer", "custom:animus:project:admin!group=animus:wine:admin"],
        {"*": Role.VIEWER, "wine": Role.ADMIN},
    ),
    "foreign filters grant nothing": (
        [f"custom:animus:project:admin!{filtered}" for filtered in ("user=ann", "group=staff", "server=a/b")],
        {},
    ),
    "foreign scopes grant nothing": (
        ["admin:users", "custom:other:project:admin", "custom:animus:project:owner", "xcustom:animus:project:admin"],
        {},
    ),
    "a filter cannot name every project": (["custom:animus:project:admin!group=animus:*:admin"], {}),
}  # fmt: skip


@pytest.mark.parametrize(("scopes", "expected"), CEILINGS.values(), ids=CEILINGS)
def test_scopes_are_a_ceiling(scopes: list[str], expected: dict[str, Role]) -> None:
    assert ceiling_of(scopes) == expected


ADMINS: dict[str, tuple[dict[str, Any], bool]] = {
    "Hub admin with the widest ceiling": ({"admin": True, "scopes": ["custom:animus:project:admin"]}, True),
    "Hub admin with a narrow token": ({"admin": True, "scopes": ["custom:animus:project:editor"]}, False),
    "Hub admin with a token for one project": (
        {"admin": True, "scopes": ["custom:animus:project:admin!group=animus:wine:admin"]},
        False,
    ),
    "Hub admin with a bare token": ({"admin": True}, False),
    "no Hub admin": ({"scopes": ["custom:animus:project:admin"]}, False),
    "named service": ({"kind": "service", "name": "hub", "scopes": ["custom:animus:project:admin"]}, True),
    "user with the name of a named service": ({"name": "hub", "scopes": ["custom:animus:project:admin"]}, False),
}


@pytest.mark.parametrize(("model", "expected"), ADMINS.values(), ids=ADMINS)
def test_a_platform_admin_needs_both_the_title_and_the_token(model: dict[str, Any], expected: bool) -> None:
    principal = principal_of(HubModel(**({"name": "ann", "kind": "user"} | model)), platform_admins={"service:hub"})
    assert principal is not None
    assert principal.platform_admin is expected


def test_groups_that_mirror_our_own_bindings_are_dropped() -> None:
    principal = principal_of(HubModel(name="a", kind="user", groups=["staff", "animus:wine:admin"]), platform_admins=())
    assert principal is not None
    assert principal.groups == {"staff"}


@pytest.mark.parametrize("kind", ["executor", "run", "system", "", "group"])
def test_the_hub_cannot_vouch_for_our_own_kinds_of_credential(kind: str) -> None:
    assert principal_of(HubModel(name="a", kind=kind), platform_admins=()) is None


class FakeHub:
    """Answers ``/hub/api/user`` and counts how often it was asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.status = 200
        self.body = json.dumps({"kind": "user", "name": "ann", "scopes": [], "more": "ignored"})
        self.delay = 0.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def with_hub(test: Callable[[FakeHub, HubUsers, Clock], Awaitable[None]]) -> None:
    async def run() -> None:
        hub, clock = FakeHub(), Clock()

        class User(RequestHandler):
            async def get(self) -> None:
                hub.asked += 1
                await asyncio.sleep(hub.delay)
                assert self.request.headers["Authorization"] == "token secret"
                self.set_status(hub.status)
                await self.finish(hub.body)

        sockets = bind_sockets(0, "127.0.0.1")
        server = HTTPServer(Application([("/hub/api/user", User)], log_function=lambda _: None))
        server.add_sockets(sockets)
        users = HubUsers(f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/api", monotonic=clock)
        try:
            await test(hub, users, clock)
        finally:
            users.close()
            server.stop()
            await server.close_all_connections()

    asyncio.run(run())


def test_a_good_answer_counts_ten_seconds_for_reads_and_one_for_writes() -> None:
    async def scenario(hub: FakeHub, users: HubUsers, clock: Clock) -> None:
        for seconds, fresh, asked in ((0, True, 1), (0.9, True, 1), (1.0, False, 1), (0, True, 2), (10.1, False, 3)):
            clock.now += seconds
            assert await users.identify("secret", fresh=fresh)
            assert hub.asked == asked

    with_hub(scenario)


def test_twenty_calls_at_once_ask_once() -> None:
    async def scenario(hub: FakeHub, users: HubUsers, clock: Clock) -> None:
        hub.delay = 0.05
        found = await asyncio.gather(*(users.identify("secret", fresh=True) for _ in range(20)))
        assert (hub.asked, {principal.name for principal in found if principal}) == (1, {"ann"})
        assert clock.now == 100.0

    with_hub(scenario)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_token_the_hub_refuses_is_nobodys_and_is_not_remembered(status: int) -> None:
    async def scenario(hub: FakeHub, users: HubUsers, _clock: Clock) -> None:
        hub.status = status
        assert await users.identify("secret", fresh=False) is None
        hub.status = 200
        assert await users.identify("secret", fresh=False) is not None

    with_hub(scenario)


def test_a_token_that_was_good_and_is_refused_now_is_forgotten() -> None:
    async def scenario(hub: FakeHub, users: HubUsers, _clock: Clock) -> None:
        assert await users.identify("secret", fresh=False)
        hub.status = 403
        _clock.now += 1.5
        assert await users.identify("secret", fresh=True) is None
        assert await users.identify("secret", fresh=False) is None

    with_hub(scenario)


@pytest.mark.parametrize(("status", "body"), [(500, "{}"), (502, "{}"), (200, "<html>"), (200, "[]"), (302, "")])
def test_a_hub_that_gives_no_clear_answer_is_unavailable(status: int, body: str) -> None:
    async def scenario(hub: FakeHub, users: HubUsers, _clock: Clock) -> None:
        hub.status, hub.body = status, body
        with pytest.raises(AnimusError) as refusal:
            await users.identify("secret", fresh=False)
        assert refusal.value.code == "service_unavailable"

    with_hub(scenario)


def test_a_hub_that_is_down_is_unavailable() -> None:
    async def run() -> None:
        users = HubUsers("http://127.0.0.1:9/hub/api")
        with pytest.raises(AnimusError) as refusal:
            await users.identify("secret", fresh=False)
        assert refusal.value.code == "service_unavailable"
        users.close()

    asyncio.run(run())
