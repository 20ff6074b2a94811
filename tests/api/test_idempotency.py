# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""One key, at most one effect and one answer."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from itertools import islice
from typing import Any
from uuid import uuid4

import httpx
import pytest

from animus_contracts.endpoint import Endpoint
from animus_contracts.endpoints import BY_OPERATION, ENDPOINTS
from animus_control.services.ports import Database, UnitOfWork
from tests.api.conftest import BOTH, Server, key, serve
from tests.api.world import World, body_of, populate

ENGINES = BOTH

ENDED = {"comparisons.create", "runs.replay", "runs.rerun"}
"""What is possible only with a run that has ended."""

KEYED = [endpoint for endpoint in ENDPOINTS if endpoint.keyed]


@pytest.fixture(scope="module")
def world(server: Server, project: str) -> World:
    return populate(server, project)


@pytest.fixture
def ann(server: Server) -> Iterator[httpx.Client]:
    with server.client("root") as client:
        yield client


@pytest.mark.parametrize("endpoint", KEYED, ids=lambda endpoint: endpoint.operation)
def test_every_keyed_operation_asks_for_its_key(ann: httpx.Client, world: World, endpoint: Endpoint) -> None:
    url = endpoint.path.format(**world.path)
    answer = ann.request(endpoint.method, url, json=body_of(world, endpoint.operation))
    assert (answer.status_code, answer.json()["code"]) == (400, "idempotency_key_required")


@pytest.mark.parametrize(
    "endpoint", [one for one in KEYED if "archive" not in one.operation], ids=lambda endpoint: endpoint.operation
)
def test_a_repeat_gets_the_first_answer_and_changes_nothing(
    ann: httpx.Client, world: World, endpoint: Endpoint
) -> None:
    path, body = ready_for(endpoint.operation, world, ann)
    url, headers = endpoint.path.format(**path), key()
    first = ann.request(endpoint.method, url, json=body, headers=headers)
    second = ann.request(endpoint.method, url, json=body, headers=headers)
    assert (first.status_code, second.status_code) == (endpoint.status, 200)
    assert second.content == first.content
    assert second.headers.get("Location") == first.headers.get("Location")
    assert (first.headers.get("Idempotent-Replay"), second.headers["Idempotent-Replay"]) == (None, "true")


def ready_for(operation: str, world: World, ann: httpx.Client) -> tuple[dict[str, str], dict[str, Any]]:
    """Bring about the state in which an operation is possible at all; return the names in its path, and its body."""

    def done(before: str, path: dict[str, str]) -> Any:
        endpoint = BY_OPERATION[before]
        answer = ann.post(endpoint.path.format(**path), json=body_of(world, before), headers=key())
        return answer.raise_for_status().json()

    path, body = dict(world.path), body_of(world, operation)
    if operation in ENDED:
        done("runs.cancel", path)
    if operation == "comparisons.create":
        again = done("runs.rerun", path)["run_id"]
        done("runs.cancel", path | {"run": again})
        body = {"left": path["run"], "right": again}
    if operation in {"schedules.pause", "schedules.resume"}:
        path["schedule"] = done("schedules.create", path)["schedule_id"]
    if operation == "schedules.resume":
        done("schedules.pause", path)
    return path, body


def test_archiving_twice_with_one_key_answers_alike_although_the_project_is_read_only_by_then(
    ann: httpx.Client,
) -> None:
    name, headers = f"p{uuid4().hex[:12]}", key()
    ann.post("/projects", json={"name": name}, headers=key()).raise_for_status()
    first, second = (ann.post(f"/projects/{name}:archive", headers=headers) for _ in range(2))
    assert (first.status_code, second.status_code, second.content) == (200, 200, first.content)


def test_a_key_with_another_body_is_a_conflict(ann: httpx.Client) -> None:
    headers = key()
    ann.post("/projects", json={"name": f"p{uuid4().hex[:12]}"}, headers=headers).raise_for_status()
    other = ann.post("/projects", json={"name": f"p{uuid4().hex[:12]}"}, headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_conflict")


def test_a_refusal_is_not_stored_so_that_the_mended_request_may_use_the_key(ann: httpx.Client) -> None:
    headers = key()
    assert ann.post("/projects", json={"name": "No Slug"}, headers=headers).status_code == 400
    assert ann.post("/projects", json={"name": f"p{uuid4().hex[:12]}"}, headers=headers).status_code == 201


def test_a_key_is_nobody_elses(server: Server, world: World) -> None:
    headers, url = key(), f"/projects/{world.path['project']}/datasets"
    with server.client("ann") as ann, server.client("ed") as ed:
        one = ann.post(url, json={"name": uuid4().hex}, headers=headers)
        two = ed.post(url, json={"name": uuid4().hex}, headers=headers)
    assert (one.status_code, two.status_code) == (201, 201)
    assert one.json()["dataset_id"] != two.json()["dataset_id"]


def test_a_key_means_nothing_at_another_path(ann: httpx.Client, world: World) -> None:
    headers = key()
    for path in ("datasets", "environments"):
        body = {"name": uuid4().hex} | ({"python": "3.11"} if path == "environments" else {})
        assert ann.post(f"/projects/{world.path['project']}/{path}", json=body, headers=headers).status_code == 201


def test_a_repeat_is_authorised_like_the_first_request(server: Server, ann: httpx.Client, world: World) -> None:
    base, headers, body = f"/projects/{world.path['project']}", key(), {"name": uuid4().hex}
    binding = {"subject_type": "user", "subject": "eve", "role": "editor"}
    bound = ann.post(f"{base}/role-bindings", json=binding, headers=key()).json()
    with server.client("eve") as eve:
        assert eve.post(f"{base}/datasets", json=body, headers=headers).status_code == 201
        ann.delete(f"{base}/role-bindings/{bound['binding_id']}").raise_for_status()
        assert eve.post(f"{base}/datasets", json=body, headers=headers).status_code == 404


class Stalled:
    """A database whose writes wait until they are let go; everything else is the real one's."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.go = threading.Event()
        self.go.set()
        self._pool = ThreadPoolExecutor(16)

    def begin(self, work: Callable[[UnitOfWork], object], tell: Callable[[Any, Exception | None], object]) -> None:
        self._pool.submit(self._begin, work, tell)

    def _begin(self, work: Callable[[UnitOfWork], object], tell: Callable[[Any, Exception | None], object]) -> None:
        self.go.wait(20)
        self._database.begin(work, tell)

    def __getattr__(self, name: str) -> object:
        return getattr(self._database, name)


def test_a_repeat_that_overtakes_the_first_request_is_told_so(database: Database) -> None:
    stalled, headers, body = Stalled(database), key(), {"name": f"p{uuid4().hex[:12]}"}
    with serve(stalled) as server, ThreadPoolExecutor(8) as pool:
        stalled.go.clear()

        def post() -> httpx.Response:
            with server.client("root") as client:
                return client.post("/projects", json=body, headers=headers)

        answers = [pool.submit(post) for _ in range(8)]
        overtaking = [answer.result() for answer in islice(as_completed(answers), 7)]
        assert {answer.json()["code"] for answer in overtaking} == {"idempotency_in_progress"}
        stalled.go.set()
        codes = sorted(answer.result().status_code for answer in answers)
    assert codes == [201] + [409] * 7


def test_twenty_racing_repeats_make_one_project(server: Server) -> None:
    headers, body = key(), {"name": f"p{uuid4().hex[:12]}"}

    def post() -> httpx.Response:
        with server.client("root") as client:
            return client.post("/projects", json=body, headers=headers)

    with ThreadPoolExecutor(20) as pool:
        answers = [future.result() for future in [pool.submit(post) for _ in range(20)]]
    assert [answer.status_code for answer in answers].count(201) == 1
    assert {answer.status_code for answer in answers} <= {200, 201, 409}
    assert len({answer.json()["project_id"] for answer in answers if answer.is_success}) == 1
