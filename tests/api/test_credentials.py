# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every kind of credential at every endpoint: it works where it belongs and is as good as none elsewhere."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from animus_contracts.endpoint import Caller, Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_control.api.edge import REJECTIONS_PER_SECOND
from animus_control.services.ports import Database
from tests.api.conftest import BOTH, EXECUTOR_TOKEN, Server, key, serve
from tests.api.test_authorisation_matrix import all_events
from tests.api.world import World, finish, populate, send, start

ENGINES = BOTH

CREDENTIALS = ("user", "executor", "run", "dispatch", "forged run", "unknown")
USED_UP = {"projects.archive", "runs.cancel", "executions.start", "executions.renew", "executions.end"}
BELONGS = {Caller.USER: "user", Caller.EXECUTOR: "executor", Caller.RUN: "run"}


@pytest.fixture(scope="module")
def world(server: Server, project: str) -> World:
    world = populate(server, project)
    start(world)
    return world


def token(world: World, credential: str) -> str:
    return {
        "user": "root",
        "executor": EXECUTOR_TOKEN,
        "run": world.run_token,
        "dispatch": world.dispatch_token,
        "forged run": "ar_" + "x" * 43,
        "unknown": "x" * 43,
    }[credential]


@pytest.mark.parametrize("credential", CREDENTIALS)
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.operation)
def test_a_credential_counts_only_where_it_belongs(
    server: Server, world: World, endpoint: Endpoint, credential: str
) -> None:
    if endpoint.operation in USED_UP and credential == BELONGS[endpoint.caller]:
        pytest.skip("it would use up what the other cases need; other tests call it")
    with server.client(token(world, credential)) as client:
        answer = send(client, world, endpoint)
    if credential == BELONGS[endpoint.caller]:
        assert answer.status_code not in {401, 403}, answer.text
    else:
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), answer.text


@pytest.mark.parametrize(
    "endpoint",
    [endpoint for endpoint in ENDPOINTS if endpoint.caller is Caller.RUN],
    ids=lambda endpoint: endpoint.operation,
)
def test_a_run_token_opens_no_other_execution(server: Server, world: World, endpoint: Endpoint) -> None:
    with server.client(world.run_token) as client:
        answer = send(client, world, endpoint, path={"execution": str(uuid4())})
    assert answer.status_code == 401


def test_a_rejected_run_token_is_in_the_audit_log_and_the_token_is_not(server: Server, world: World) -> None:
    request_id = uuid4().hex
    with server.client(world.run_token, **{"X-Request-Id": request_id}) as thief, server.client("ann") as ann:
        assert thief.get("/identity").status_code == 401
        events = all_events(ann, f"/projects/{world.path['project']}/audit-events")
    records = [event["record"] for event in events if event["record"]["request_id"] == request_id]
    assert [(record["action"], record["outcome"], record["details"]) for record in records] == [
        ("token.rejected", "denied", {"reason": "wrong_endpoint"})
    ]
    assert world.run_token not in str(events)


def test_a_run_token_is_dead_once_the_run_has_ended(server: Server, project: str) -> None:
    world = populate(server, project)
    granted = start(world)
    finish(world, granted["epoch"])
    base = f"/executions/{world.path['execution']}"
    with server.client(world.run_token) as late:
        report = late.post(f"{base}/events", json={"epoch": granted["epoch"], "events": []})
        fetch = late.get(f"{base}/inputs/{world.path['digest']}")
    assert (report.status_code, fetch.status_code) == (401, 401)


def test_a_run_token_is_dead_once_its_time_is_over(database: Database) -> None:
    shift = [timedelta()]
    with serve(database, clock=lambda: datetime.now(UTC) + shift[0]) as server:
        name = f"p{uuid4().hex[:12]}"
        with server.client("root") as root:
            root.post("/projects", json={"name": name}, headers=key()).raise_for_status()
            for subject, role in (("ed", "editor"), ("ann", "admin"), ("vic", "viewer")):
                binding = {"subject_type": "user", "subject": subject, "role": role}
                root.post(f"/projects/{name}/role-bindings", json=binding, headers=key()).raise_for_status()
        world = populate(server, name)
        start(world)
        url = f"/executions/{world.path['execution']}/inputs/{world.path['digest']}"
        with server.client(world.run_token) as client:
            assert client.get(url).status_code == 200
            shift[0] = timedelta(hours=1)
            assert client.get(url).status_code == 401


def test_a_run_fetches_its_inputs_and_no_other_bytes_of_its_project(server: Server, world: World) -> None:
    base = f"/executions/{world.path['execution']}/inputs/"
    with server.client(world.run_token) as client:
        assert client.get(base + world.path["digest"]).status_code == 200
        assert client.get(base + "sha256:" + "0" * 64).status_code == 404


@pytest.mark.parametrize("header", ["", "Basic cm9vdDpyb290", "Bearer", "Bearer a b", "root", "Bearer \u00e9"])
def test_an_authorization_that_is_no_bearer_token_is_none(server: Server, header: str) -> None:
    with server.client() as client:
        answer = client.get("/identity", headers={"Authorization": header.encode()})
    assert answer.status_code == 401


@pytest.mark.parametrize("name", ["token", "access_token", "TOKEN"])
def test_a_token_in_the_address_is_refused_even_beside_a_good_header(server: Server, name: str) -> None:
    with server.client("root") as client:
        answer = client.get("/projects", params={name: "root"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")


def test_a_hub_that_is_down_makes_the_service_unavailable_and_not_open(server: Server) -> None:
    server.users.down = True
    try:
        with server.client("root") as client:
            answer = client.get("/identity")
    finally:
        server.users.down = False
    assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
    assert answer.headers["Retry-After"] == "1"


def test_the_scheme_of_the_hub_is_understood_too(server: Server) -> None:
    with server.client() as client:
        assert client.get("/identity", headers={"Authorization": "token root"}).status_code == 200


def test_strangers_cannot_fill_the_audit_log_with_rejected_tokens(server: Server, world: World) -> None:
    with server.client("ar_" + "x" * 43) as stranger, server.client("root") as root:
        before = all_events(root, "/audit-events")
        begin = time.monotonic()
        for _ in range(60):
            assert stranger.get("/identity").status_code == 401
        allowed = REJECTIONS_PER_SECOND * (1 + time.monotonic() - begin)
        after = all_events(root, "/audit-events")
    assert 1 <= len(after) - len(before) <= min(60, allowed)
    assert world.path
