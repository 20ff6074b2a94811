# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A reader of a stream misses nothing, resumes where it was, is pushed to, and is let in only with the right."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import uuid4

import pytest

from animus_control.services.ports import Database
from tests.api.conftest import BOTH, EXECUTOR_TOKEN, Server, key, serve
from tests.api.world import World, finish, populate, start
from tests.patience import until

ENGINES = BOTH

STORY = [
    "run.state",
    "run.state",
    "run.state",
    "notebook.started",
    "cell.started",
    "metric.logged",
    "cell.ended",
    "run.state",
]


@pytest.fixture
def world(server: Server, project: str) -> World:
    return populate(server, project)


def read(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    """Yield the events of a stream; checks that id and type in the frame are those of the event."""
    frame: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(": ")
            frame[name] = value
        elif frame:
            event = json.loads(frame["data"])
            assert (int(frame["id"]), frame["event"]) == (event["event_id"], event["type"])
            yield event
            frame = {}


def url_of(world: World) -> str:
    return f"/projects/{world.path['project']}/runs/{world.path['run']}/events"


def test_a_live_stream_tells_the_whole_story_and_ends_with_it(server: Server, world: World) -> None:
    told: list[dict[str, Any]] = []

    def follow() -> None:
        with server.client("vic") as vic, vic.stream("GET", url_of(world)) as answer:
            assert answer.headers["Content-Type"] == "text/event-stream"
            told.extend(read(answer.iter_lines()))

    reader = threading.Thread(target=follow)
    reader.start()
    granted = start(world)
    finish(world, granted["epoch"])
    reader.join(10)
    assert not reader.is_alive(), "the stream ends after the last state"
    assert [event["type"] for event in told] == STORY
    assert [event["data"]["state"] for event in told if event["type"] == "run.state"] == [
        "queued", "dispatching", "running", "succeeded",
    ]  # fmt: skip


@pytest.mark.parametrize("by", ["header", "query"])
def test_a_reader_resumes_after_any_event_it_saw(server: Server, world: World, by: str) -> None:
    granted = start(world)
    finish(world, granted["epoch"])
    with server.client("vic") as vic:
        everything = list(read(iter(vic.get(url_of(world)).text.splitlines())))
        assert [event["type"] for event in everything] == STORY
        for position, event in enumerate(everything[:-1]):
            last = str(event["event_id"])
            answer = (
                vic.get(url_of(world), headers={"Last-Event-ID": last})
                if by == "header"
                else vic.get(url_of(world), params={"after": last})
            )
            assert list(read(iter(answer.text.splitlines()))) == everything[position + 1 :]
        seen = vic.get(url_of(world), headers={"Last-Event-ID": str(everything[-1]["event_id"])})
    assert (seen.status_code, seen.content) == (204, b"")


def test_an_event_arrives_by_push_and_long_before_any_ping(server: Server, world: World) -> None:
    with server.client("vic") as vic, vic.stream("GET", url_of(world)) as answer:
        events = read(answer.iter_lines())
        assert next(events)["data"]["state"] == "queued"
        began = time.perf_counter()
        with server.client("ed") as ed:
            ed.post(url_of(world).replace("/events", ":cancel"), json={}, headers=key()).raise_for_status()
        assert next(events)["data"]["state"] == "canceled"
        assert time.perf_counter() - began < 2


def test_a_project_stream_tells_of_every_change_of_state_of_its_own_runs(server: Server, world: World) -> None:
    base = f"/projects/{world.path['project']}"
    with server.client("vic") as vic, vic.stream("GET", f"{base}/events") as answer:
        events = read(answer.iter_lines())
        run = world.post("ed", f"{base}/runs", world.submission())
        seen = next(event for event in events if event["run_id"] == run["run_id"])
    assert (seen["type"], seen["data"]["state"]) == ("run.state", "queued")


def test_no_event_of_a_burst_waits_for_the_next_ping(server: Server, world: World) -> None:
    base, missing = f"/projects/{world.path['project']}", set[str]()
    with server.client("vic") as vic, vic.stream("GET", f"{base}/events") as answer, ThreadPoolExecutor(4) as pool:
        runs = pool.map(lambda _: world.post("ed", f"{base}/runs", world.submission())["run_id"], range(40))
        began = time.perf_counter()
        missing = set(runs)
        for event in read(answer.iter_lines()):
            missing.discard(event["run_id"])
            if not missing:
                break
    assert time.perf_counter() - began < 10


def test_a_quiet_stream_pings_and_ends_when_the_right_is_lost(database: Database) -> None:
    with serve(database, ping_seconds=0.2) as server:
        name = f"p{uuid4().hex[:12]}"
        with server.client("root") as root:
            root.post("/projects", json={"name": name}, headers=key()).raise_for_status()
            for subject, role in (("ed", "editor"), ("ann", "admin")):
                binding = {"subject_type": "user", "subject": subject, "role": role}
                bound = root.post(f"/projects/{name}/role-bindings", json=binding, headers=key()).json()
            with server.client("ann") as ann, ann.stream("GET", f"/projects/{name}/events") as answer:
                lines = answer.iter_lines()
                assert next(lines) == ": ping"
                root.post(
                    f"/projects/{name}/role-bindings",
                    json={"subject_type": "user", "subject": "eve", "role": "admin"},
                    headers=key(),
                ).raise_for_status()
                root.delete(f"/projects/{name}/role-bindings/{bound['binding_id']}").raise_for_status()
                assert set(lines) <= {": ping", ""}, "the stream just ends"


def test_a_stream_ends_when_the_credential_is_withdrawn(database: Database) -> None:
    with serve(database, ping_seconds=0.1) as server, server.client("root") as root:
        name = f"p{uuid4().hex[:12]}"
        root.post("/projects", json={"name": name}, headers=key()).raise_for_status()
        with root.stream("GET", f"/projects/{name}/events") as answer:
            lines = answer.iter_lines()
            assert next(lines) == ": ping"
            del server.users.known["root"]
            assert set(lines) <= {": ping", ""}


@pytest.mark.parametrize("position", ["-1", "x", "1.5", "9" * 30, ""])
def test_a_position_that_is_none_is_refused(server: Server, world: World, position: str) -> None:
    with server.client("vic") as vic:
        assert vic.get(url_of(world), headers={"Last-Event-ID": position}).status_code == 400


def test_a_missing_run_and_a_foreign_project_have_no_stream(server: Server, world: World) -> None:
    with server.client("vic") as vic, server.client("eve") as eve:
        assert vic.get(f"/projects/{world.path['project']}/runs/{uuid4()}/events").status_code == 404
        assert eve.get(url_of(world)).status_code == 404


def test_a_server_that_stops_ends_its_streams_and_long_polls(database: Database) -> None:
    with serve(database) as server:
        name = f"p{uuid4().hex[:12]}"
        with server.client("root") as root:
            root.post("/projects", json={"name": name}, headers=key()).raise_for_status()
        results: list[Any] = []

        def follow() -> None:
            with server.client("root") as root:
                results.append(root.get(f"/projects/{name}/events").text)

        def poll() -> None:
            with server.client(EXECUTOR_TOKEN) as executor:
                while (answer := executor.post("/leases", json={"wait_seconds": 20}).json())["lease"]:
                    pass
                results.append(answer)

        threads = [threading.Thread(target=follow), threading.Thread(target=poll)]
        for thread in threads:
            thread.start()
        while len(server.edge.in_flight) < 2:
            time.sleep(0.01)
        server.loop.call_soon_threadsafe(server.edge.wakeups.close)
        for thread in threads:
            thread.join(10)
    assert {json.dumps(result) for result in results} == {'""', '{"lease": null}'}


def test_a_reader_that_hangs_up_is_forgotten(server: Server, world: World) -> None:
    with server.client("vic") as vic, vic.stream("GET", url_of(world)) as answer:
        next(answer.iter_lines())
    until(lambda: not server.edge.in_flight)
