# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor waits for work without asking again, and two never get the same."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.api.conftest import BOTH, EXECUTOR_TOKEN, PREFIX, Server
from tests.api.world import World, lease, populate

ENGINES = BOTH


@pytest.fixture
def world(server: Server, project: str) -> World:
    world = populate(server, project)
    while lease(server) is not None:
        pass
    return world


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as pool:
        yield pool


def submit(world: World) -> Any:
    return world.post("ed", f"/projects/{world.path['project']}/runs", world.submission())


def test_a_submission_wakes_the_waiting_executor(server: Server, world: World, pool: ThreadPoolExecutor) -> None:
    waiting = pool.submit(lease, server, wait=20)
    time.sleep(0.3)
    assert not waiting.done()
    run, began = submit(world), time.perf_counter()
    granted = waiting.result(10)
    assert granted is not None
    assert granted["run_id"] == run["run_id"]
    assert time.perf_counter() - began < 2


def test_an_empty_queue_answers_when_the_time_is_over(server: Server, world: World) -> None:
    began = time.perf_counter()
    assert lease(world.server, wait=0.4) is None
    assert 0.4 <= time.perf_counter() - began < 5
    assert lease(server, wait=-5) is None


def test_many_waiting_executors_share_the_runs_without_doubling_one(
    server: Server, world: World, pool: ThreadPoolExecutor
) -> None:
    waiting = [pool.submit(lease, server, wait=1.5) for _ in range(8)]
    runs = {submit(world)["run_id"] for _ in range(5)}
    granted = [future.result(20) for future in waiting]
    assert sorted(one["run_id"] for one in granted if one) == sorted(runs)


def test_a_submission_without_anyone_waiting_is_leased_at_once(server: Server, world: World) -> None:
    run = submit(world)
    granted = lease(server, wait=20)
    assert granted is not None
    assert granted["run_id"] == run["run_id"]


def test_no_lease_goes_to_an_executor_that_hung_up(server: Server, world: World) -> None:
    url, body = httpx.URL(server.url), b'{"wait_seconds":20}'
    head = (
        f"POST {PREFIX}api/v1/leases HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {EXECUTOR_TOKEN}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head.encode() + body)
        while not server.edge.in_flight:
            time.sleep(0.01)
    while server.edge.in_flight:
        time.sleep(0.01)
    run = submit(world)
    granted = lease(server, wait=5)
    assert granted is not None
    assert granted["run_id"] == run["run_id"]


def cancellations(server: Server, *known: str, wait: float = 20) -> list[str]:
    with server.client(EXECUTOR_TOKEN) as client:
        answer = client.post("/leases:cancellations", json={"wait_seconds": wait, "known": list(known)})
    assert answer.status_code == 200, answer.text
    stopped: list[str] = answer.json()["cancel"]
    return stopped


def test_a_cancellation_wakes_the_executor_that_holds_the_run(
    server: Server, world: World, pool: ThreadPoolExecutor
) -> None:
    run, granted = submit(world), lease(server)
    assert granted is not None
    waiting = pool.submit(cancellations, server)
    time.sleep(0.3)
    assert not waiting.done()
    world.post("ed", f"/projects/{world.path['project']}/runs/{run['run_id']}:cancel", {})
    began = time.perf_counter()
    assert waiting.result(10) == [granted["execution_id"]]
    assert time.perf_counter() - began < 2
    assert cancellations(server, granted["execution_id"], wait=0) == []


def test_a_quota_that_is_raised_wakes_the_waiting_executor(
    server: Server, world: World, pool: ThreadPoolExecutor
) -> None:
    quota = f"/projects/{world.path['project']}/quota"
    world.post("root", quota, {"concurrent_runs": 0})
    run = submit(world)
    waiting = pool.submit(lease, server, wait=20)
    time.sleep(0.3)
    assert not waiting.done()
    world.post("root", quota, {})
    granted = waiting.result(10)
    assert granted is not None
    assert granted["run_id"] == run["run_id"]
