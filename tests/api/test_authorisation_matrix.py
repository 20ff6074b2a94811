# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every role, operation and kind of project (own, foreign, missing), over every row of the endpoint table.

What is expected comes from the two tables the product itself runs on, the endpoint table and ``REQUIRED_ROLE``; what
is found comes over HTTP. A foreign project answers exactly as a missing one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from animus_contracts.endpoint import Caller, Endpoint
from animus_contracts.endpoints import ENDPOINTS
from animus_contracts.projects import Role
from animus_control.domain.permissions import RANK, REQUIRED_ROLE
from tests.api.conftest import Server, key
from tests.api.world import World, populate, send

ROLES = {"ann": Role.ADMIN, "ed": Role.EDITOR, "vic": Role.VIEWER, "eve": None, "bare": None}
IN_A_PROJECT = [endpoint for endpoint in ENDPOINTS if endpoint.project_scoped]
OF_THE_PLATFORM = [endpoint for endpoint in ENDPOINTS if endpoint.platform_admin and not endpoint.project_scoped]
REFUSALS = {401, 403, 404}
AFTER_ENTRY = {
    "approval_not_pending",
    "not_found",
    "invalid_transition",
    "environment_archived",
    "duplicate_content",
    "object_not_found",
}


@pytest.fixture(scope="module")
def world(server: Server, project: str) -> World:
    return populate(server, project)


@pytest.fixture(scope="module")
def clients(server: Server) -> Iterator[dict[str, httpx.Client]]:
    opened = {name: server.client(name) for name in [*ROLES, "root"]}
    yield opened
    for client in opened.values():
        client.close()


def fresh_ids(world: World, endpoint: Endpoint) -> dict[str, str]:
    """Give an operation that uses something up a thing of its own, so that the order of the tests does not matter."""
    if endpoint.operation == "role_bindings.delete":
        binding = {"subject_type": "user", "subject": uuid4().hex, "role": "viewer"}
        made = world.post("ann", f"/projects/{world.path['project']}/role-bindings", binding)
        return {"binding": made["binding_id"]}
    if endpoint.operation == "environments.archive":
        made = world.post("ed", f"/projects/{world.path['project']}/environments", {"name": "gone", "python": "3.11"})
        return {"environment": made["environment_id"]}
    if endpoint.operation in {"projects.archive", "projects.unarchive", "projects.update"}:
        name = f"p{uuid4().hex[:12]}"
        world.post("root", "/projects", {"name": name})
        for subject, role in ROLES.items():
            if role is not None:
                binding = {"subject_type": "user", "subject": subject, "role": role}
                world.post("root", f"/projects/{name}/role-bindings", binding)
        return {"project": name}
    return {}


@pytest.mark.parametrize("name", ROLES)
@pytest.mark.parametrize("endpoint", IN_A_PROJECT, ids=lambda endpoint: endpoint.operation)
def test_a_role_may_do_exactly_what_the_tables_say(
    world: World, clients: dict[str, httpx.Client], endpoint: Endpoint, name: str
) -> None:
    assert endpoint.permission is not None
    role = ROLES[name]
    allowed = role is not None and RANK[role] >= RANK[REQUIRED_ROLE[endpoint.permission]]
    allowed = allowed and not endpoint.platform_admin  # none of them administers the platform
    answer = send(clients[name], world, endpoint, path=fresh_ids(world, endpoint))
    if allowed:
        assert answer.is_success or answer.json()["code"] in AFTER_ENTRY, answer.text
        assert answer.is_success or "role" not in answer.json().get("detail", "")
    else:
        assert answer.status_code == (404 if role is None else 403), answer.text
        assert answer.json()["code"] == ("not_found" if role is None else "forbidden")


@pytest.mark.parametrize("endpoint", IN_A_PROJECT, ids=lambda endpoint: endpoint.operation)
def test_a_foreign_project_answers_exactly_as_a_missing_one(
    world: World, clients: dict[str, httpx.Client], endpoint: Endpoint
) -> None:
    foreign = send(clients["eve"], world, endpoint)
    missing = send(clients["eve"], world, endpoint, path={"project": f"p{uuid4().hex[:12]}"})
    assert told(foreign) == told(missing)
    assert foreign.status_code == 404


@pytest.mark.parametrize("endpoint", IN_A_PROJECT, ids=lambda endpoint: endpoint.operation)
def test_ids_of_a_foreign_project_answer_exactly_as_ids_that_never_were(
    server: Server, world: World, clients: dict[str, httpx.Client], endpoint: Endpoint
) -> None:
    named = {name: value for name, value in world.path.items() if f"{{{name}}}" in endpoint.path and name != "project"}
    if not named or endpoint.operation == "objects.put":
        pytest.skip("the path names nothing but the project")
    own = {"project": own_project(server)}
    foreign = send(clients["eve"], world, endpoint, path=own)
    unknown = {name: value if name == "digest" else str(uuid4()) for name, value in named.items()}
    assert told(foreign) == told(send(clients["eve"], world, endpoint, path=own | unknown))
    assert foreign.status_code == 404, foreign.text


@pytest.mark.parametrize("name", [*ROLES, "root"])
@pytest.mark.parametrize("endpoint", OF_THE_PLATFORM, ids=lambda endpoint: endpoint.operation)
def test_the_platform_is_its_administrators_alone(
    world: World, clients: dict[str, httpx.Client], endpoint: Endpoint, name: str
) -> None:
    answer = send(clients[name], world, endpoint)
    assert answer.status_code == (endpoint.status if name == "root" else 403), answer.text


@pytest.mark.parametrize("endpoint", IN_A_PROJECT, ids=lambda endpoint: endpoint.operation)
def test_a_platform_administrator_counts_as_administrator_of_every_project(
    world: World, clients: dict[str, httpx.Client], endpoint: Endpoint
) -> None:
    answer = send(clients["root"], world, endpoint, path=fresh_ids(world, endpoint))
    assert answer.is_success or answer.json()["code"] in AFTER_ENTRY, answer.text


@pytest.mark.parametrize(
    "endpoint",
    [endpoint for endpoint in ENDPOINTS if endpoint.caller is Caller.USER],
    ids=lambda endpoint: endpoint.operation,
)
def test_nobody_may_do_nothing(server: Server, world: World, endpoint: Endpoint) -> None:
    with server.client() as nobody:
        answer = send(nobody, world, endpoint)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_refusal_is_in_the_audit_log(server: Server, world: World) -> None:
    with server.client("vic") as vic, server.client("ann") as ann:
        refused = vic.post(
            f"/projects/{world.path['project']}/datasets",
            json={"name": "x"},
            headers=key() | {"X-Request-Id": uuid4().hex},
        )
        records = all_events(ann, f"/projects/{world.path['project']}/audit-events")
    found = [event["record"] for event in records if event["record"]["request_id"] == refused.headers["X-Request-Id"]]
    assert [(record["action"], record["actor"], record["outcome"]) for record in found] == [
        ("access.denied", "user:vic", "denied")
    ]


def test_a_removed_member_is_out_with_the_next_request(server: Server, world: World) -> None:
    base = f"/projects/{world.path['project']}"
    with server.client("ann") as ann, server.client("eve") as eve:
        binding = {"subject_type": "user", "subject": "eve", "role": "editor"}
        made = ann.post(f"{base}/role-bindings", json=binding, headers=key()).json()
        assert eve.get(base).status_code == 200
        assert ann.delete(f"{base}/role-bindings/{made['binding_id']}").status_code == 204
        assert eve.get(base).status_code == 404


def told(answer: httpx.Response) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Return everything a caller is told, apart from what differs by request."""
    varying = {"date", "x-request-id", "content-length"}
    body = {name: value for name, value in answer.json().items() if name != "request_id"}
    return answer.status_code, body, {name: value for name, value in answer.headers.items() if name not in varying}


def own_project(server: Server) -> str:
    """Return a project in which eve is administrator."""
    name = f"p{uuid4().hex[:12]}"
    with server.client("root") as root:
        root.post("/projects", json={"name": name}, headers=key()).raise_for_status()
        binding = {"subject_type": "user", "subject": "eve", "role": "admin"}
        root.post(f"/projects/{name}/role-bindings", json=binding, headers=key()).raise_for_status()
    return name


def all_events(client: httpx.Client, url: str) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while True:
        page = client.get(url, params={"limit": "200", **cursor}).json()
        events += page["items"]
        if page["next_cursor"] is None:
            return events
        cursor = {"cursor": page["next_cursor"]}
