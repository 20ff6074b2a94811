# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How an operation is answered: status, headers, strictness."""

from __future__ import annotations

from collections.abc import Callable
from uuid import uuid4

import httpx

from tests.api.conftest import BOTH, PREFIX, Server, key
from tests.api.world import digest, finish, populate, start

ENGINES = BOTH

Open = Callable[..., httpx.Client]


def a_name() -> str:
    return f"p{uuid4().hex[:12]}"


def test_a_created_project_is_found_at_its_location(client: Open) -> None:
    root, name = client("root"), a_name()
    created = root.post("/projects", json={"name": name}, headers=key())
    assert created.status_code == 201
    assert created.headers["Location"] == f"{PREFIX}api/v1/projects/{created.json()['project_id']}"
    assert root.get(str(created.url.join(created.headers["Location"]))).json() == created.json()


def test_a_run_goes_through_the_whole_protocol_and_its_artifact_comes_back(server: Server, project: str) -> None:
    world = populate(server, project)
    granted = start(world)
    artifact = finish(world, granted["epoch"])
    with server.client("vic") as vic:
        run = vic.get(f"/projects/{project}/runs/{world.path['run']}").json()
        content = vic.get(f"/projects/{project}/runs/{world.path['run']}/artifacts/{artifact['artifact_id']}/content")
    assert run["state"] == "succeeded"
    assert digest(content.content) == artifact["digest"]
    assert content.headers["Content-Disposition"] == "attachment; filename*=UTF-8''model.bin"
