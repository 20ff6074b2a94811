# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Over HTTP: a replay whose inputs are gone names them; tasks wait, wake and carry bytes to executors alone."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest

from animus_contracts.digests import Digest
from tests.api.conftest import EXECUTOR_TOKEN, Server, key
from tests.api.world import CONTENT, World, digest, finish, populate, start

NOWHERE = "0198f000-0000-7000-8000-000000000000"


@pytest.fixture
def world(server: Server, project: str) -> World:
    """A project whose run has succeeded."""
    world = populate(server, project)
    granted = start(world)
    finish(world, granted["epoch"])
    drain(server)
    return world


def drain(server: Server) -> None:
    """Answer the tasks that other tests left."""
    while (lease := task(server)) is not None:
        end(server, lease)


def task(server: Server, wait: float = 0) -> dict[str, Any] | None:
    with server.client(EXECUTOR_TOKEN) as client:
        answer = client.post("/tasks:lease", json={"wait_seconds": wait})
    assert answer.status_code == 200, answer.text
    lease: dict[str, Any] | None = answer.json()["lease"]
    return lease


def end(server: Server, lease: dict[str, Any]) -> None:
    body = {"attempt": lease["attempt"], "result": {"type": "task_failed", "reason": "drained", "is_final": True}}
    with server.client(EXECUTOR_TOKEN) as client:
        assert client.post(f"/tasks/{lease['task_id']}:end", json=body).status_code == 200


def url(world: World, verb: str) -> str:
    return f"/projects/{world.path['project']}/runs/{world.path['run']}:{verb}"


def test_a_replay_whose_bytes_are_gone_is_refused_and_names_them(server: Server, world: World) -> None:
    held = server.objects.kept.pop(Digest(digest(CONTENT)))
    try:
        with server.client("ed") as client:
            refused = client.post(url(world, "replay"), json={}, headers=key())
    finally:
        server.objects.kept[Digest(digest(CONTENT))] = held
    problem = refused.json()
    assert (refused.status_code, problem["code"]) == (409, "replay_input_unavailable")
    assert "(train): file 'train.csv' is gone" in problem["detail"]
    assert [fault["code"] for fault in problem["errors"]] == ["bytes_gone"]


def test_a_replay_is_created_once_for_one_key(server: Server, world: World) -> None:
    headers = key()
    with server.client("ed") as client:
        first = client.post(url(world, "replay"), json={"verify": False}, headers=headers)
        again = client.post(url(world, "replay"), json={"verify": False}, headers=headers)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert first.headers["Location"].endswith(f"/runs/{first.json()['run_id']}")
    assert first.json()["origin"]["relation"] == "replay"


@pytest.mark.parametrize(
    ("body", "fault"),
    [
        ({"tolerances": {"relative": -1}}, "$.tolerances.relative"),
        ({"tolerances": {"relative": "much"}}, "$.tolerances.relative"),
        ({"verify": "yes"}, "$.verify"),
        ({"verfy": True}, "verfy"),
    ],
)
def test_a_replay_that_says_nonsense_is_refused(server: Server, world: World, body: Any, fault: str) -> None:
    with server.client("ed") as client:
        refused = client.post(url(world, "replay"), json=body, headers=key())
    assert refused.status_code == 400
    assert fault in refused.text


def test_a_replay_of_a_foreign_run_is_missing_before_anything_is_asked_of_the_store(
    server: Server, world: World
) -> None:
    with server.client("eve") as client:
        foreign = client.post(url(world, "replay"), json={}, headers=key())
    assert (foreign.status_code, foreign.json()["code"]) == (404, "not_found")


def test_a_waiting_executor_is_woken_by_a_request_and_given_the_bytes(server: Server, world: World) -> None:
    with server.client("ed") as client:
        other = client.post(url(world, "rerun"), headers=key()).json()["run_id"]
        first, world.path["run"] = world.path["run"], other
        finish(world, start(world)["epoch"])
        leases: list[dict[str, Any] | None] = []
        waiting = threading.Thread(target=lambda: leases.append(task(server, wait=15)))
        waiting.start()
        time.sleep(0.3)
        body = {"left": first, "right": other}
        base = f"/projects/{world.path['project']}/comparisons"
        made = client.post(base, json=body, headers=key())
        begun = time.monotonic()
        waiting.join(20)
    assert made.status_code == 201, made.text
    assert time.monotonic() - begun < 5
    (lease,) = leases
    assert lease is not None
    entry = lease["comparison"]["left"]["artifacts"][0]["entry"]
    path = f"/tasks/{lease['task_id']}/objects/{entry['digest']}"
    with server.client(EXECUTOR_TOKEN) as client:
        assert len(client.get(path).content) == entry["size_bytes"]
        assert client.get(f"/tasks/{lease['task_id']}/objects/{digest(CONTENT)}").status_code == 404
        assert client.get(f"/tasks/{NOWHERE}/objects/{entry['digest']}").status_code == 404
    with server.client("ann") as client:
        assert client.get(path).status_code == 401  # a person has no credential of an executor
    end(server, lease)


def test_an_artifact_is_found_by_its_digest_in_its_own_project_alone(server: Server, world: World) -> None:
    with server.client("vic") as vic, server.client("eve") as eve:
        made = vic.get(f"/projects/{world.path['project']}/runs/{world.path['run']}/artifacts").json()["items"][0]
        base = f"/projects/{world.path['project']}/artifacts"
        found = vic.get(base, params={"digest": made["digest"]}).json()["items"]
        nothing = vic.get(base, params={"digest": digest(b"nothing")}).json()["items"]
        bad = vic.get(base, params={"digest": "abc"})
        foreign = eve.get(base, params={"digest": made["digest"]})
    assert [(each["artifact"], each["run"]["run_id"]) for each in found] == [(made, world.path["run"])]
    assert nothing == []
    assert (bad.status_code, bad.json()["code"]) == (400, "invalid_query")
    assert foreign.status_code == 404
