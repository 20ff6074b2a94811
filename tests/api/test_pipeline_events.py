# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of a pipeline run's stream gets what is new since the version it knows, and is told when it is over."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from tests.api.conftest import Server, key
from tests.api.test_events import read
from tests.api.world import World, populate


@pytest.fixture
def world(server: Server, project: str) -> World:
    world = populate(server, project)
    made = world.post("ed", f"/projects/{project}/pipeline-runs", world.pipeline())
    world.path["pipeline"] = made["pipeline_run_id"]
    return world


def url_of(world: World) -> str:
    return f"/projects/{world.path['project']}/pipeline-runs/{world.path['pipeline']}"


def stream(server: Server, world: World, who: str = "vic", **headers: str) -> list[dict[str, Any]]:
    with server.client(who) as client, client.stream("GET", url_of(world) + "/events", headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        return list(read(answer.iter_lines()))


def cancel(server: Server, world: World) -> dict[str, Any]:
    with server.client("ed") as client:
        answer = client.post(url_of(world) + ":cancel", json={"reason": "enough"}, headers=key())
    assert answer.status_code == 200, answer.text
    ended: dict[str, Any] = answer.json()
    return ended


def test_a_stream_is_pushed_to_and_ends_with_the_pipeline_run(server: Server, world: World) -> None:
    found: list[dict[str, Any]] = []
    with server.client("vic") as client, client.stream("GET", url_of(world) + "/events") as answer:
        changes = read(answer.iter_lines())
        found.append(next(changes))
        threading.Timer(0.1, cancel, (server, world)).start()
        found += changes
    first, last = found[0], found[-1]
    assert [node["state"] for node in first["nodes"]] == ["running", "waiting"]
    assert last["pipeline_run"]["state"] == "canceled"
    assert {node["state"] for node in last["nodes"]} == {"canceled"}
    assert last["event_id"] == last["pipeline_run"]["version"]


def test_a_reader_that_resumes_gets_only_what_is_new_and_then_is_told_to_stop(server: Server, world: World) -> None:
    with server.client("vic") as client:
        before = client.get(url_of(world)).json()["version"]
    ended = cancel(server, world)
    (change,) = stream(server, world, **{"Last-Event-ID": str(before)})
    assert (change["event_id"], change["pipeline_run"]) == (ended["version"], ended)
    with server.client("vic") as client:
        assert client.get(url_of(world) + "/events", params={"after": ended["version"]}).status_code == 204


def test_a_stream_of_a_pipeline_run_that_is_not_there_is_not_found(server: Server, world: World) -> None:
    with server.client("vic") as client:
        answer = client.get(f"/projects/{world.path['project']}/pipeline-runs/0198/events")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
