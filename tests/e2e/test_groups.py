# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A real Hub tells the control plane what groups somebody has, and lets its token do nothing else there."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime

import httpx
import psutil
import pytest

from animus.demo import scenes
from animus_control.api.hub_groups import HubGroups
from animus_control.domain.user_groups import KnownGroups
from tests.e2e.conftest import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture(name="credentials")
def _credentials(world: World) -> tuple[str, str]:
    """The Hub's API and the control plane's token, as its own process has them."""
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            variables = process.environ()
            if process.cwd() == str(world.hub.data) and variables.get("JUPYTERHUB_SERVICE_NAME") == "animus":
                return variables["JUPYTERHUB_API_URL"], variables["JUPYTERHUB_API_TOKEN"]
    raise AssertionError("the control plane does not run")


@pytest.mark.parametrize(("name", "groups"), [("ed", frozenset()), ("nobody", None)])
def test_the_hub_says_who_somebody_is_with(
    credentials: tuple[str, str], name: str, groups: frozenset[str] | None
) -> None:
    async def ask() -> KnownGroups:
        hub = HubGroups(*credentials)
        try:
            return await hub.ask(name, NOW)
        finally:
            hub.close()

    with ThreadPoolExecutor(1) as thread:  # a browser of another test may have left its loop running on this one
        assert thread.submit(asyncio.run, ask()).result() == KnownGroups(name=name, groups=groups, as_of=NOW)


def test_the_control_planes_token_learns_groups_and_nothing_else(credentials: tuple[str, str]) -> None:
    url, token = credentials
    with httpx.Client(base_url=url, headers={"Authorization": f"token {token}"}, trust_env=False) as hub:
        told = hub.get("/users/ed").json()
        assert f"animus:{scenes.PROJECT}:editor" in told["groups"]
        assert set(told) <= {"name", "kind", "groups"}
        for method, path in (
            ("GET", "/users"),
            ("GET", "/groups"),
            ("GET", "/users/ed/tokens"),
            ("POST", "/users/ed/tokens"),
            ("POST", "/users/ed/server"),
            ("DELETE", "/users/ed"),
            ("PATCH", "/users/ed"),
            ("POST", "/groups/data-science"),
        ):
            assert hub.request(method, path).status_code in {403, 404}, (method, path)
