# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Alive, ready, measured."""

from __future__ import annotations

from collections.abc import Callable

import httpx

from animus_control.domain.errors import AnimusError
from animus_control.services.ports import Database, UnitOfWork
from tests.api.conftest import Server, serve


class Broken:
    """A database that is down."""

    def __init__(self, database: Database) -> None:
        self.subscribe = database.subscribe

    def begin(self, work: Callable[[UnitOfWork], object], tell: Callable[[None, Exception], object]) -> None:  # noqa: ARG002 - it fails anyway
        tell(None, AnimusError("service_unavailable"))

    def read(self, work: Callable[[UnitOfWork], object]) -> object:  # noqa: ARG002 - it fails anyway
        raise AnimusError("service_unavailable")

    def check(self) -> None:
        raise AnimusError("service_unavailable")


def test_a_healthy_server_is_alive_and_ready(server: Server) -> None:
    assert httpx.get(server.url + "healthz").json() == {"status": "ok"}
    assert httpx.get(server.url + "readyz").json() == {"status": "ready", "failing": []}


def test_readiness_names_the_check_that_fails_and_recovers_by_itself(server: Server) -> None:
    server.objects.failing = AnimusError("storage_full")
    try:
        answer = httpx.get(server.url + "readyz")
    finally:
        server.objects.failing = None
    assert (answer.status_code, answer.json()) == (503, {"status": "unready", "failing": ["objects"]})
    assert httpx.get(server.url + "readyz").status_code == 200


def test_without_a_database_every_call_is_told_so_and_the_process_lives(database: Database) -> None:
    with serve(Broken(database)) as server, server.client("root") as root:
        assert httpx.get(server.url + "healthz").status_code == 200
        assert httpx.get(server.url + "readyz").json()["failing"] == ["database"]
        answers = [
            root.get("/projects"),
            root.post("/projects", json={"name": "abc"}, headers={"Idempotency-Key": "k"}),
        ]
    for answer in answers:
        assert (answer.status_code, answer.json()["code"]) == (503, "service_unavailable")
        assert answer.headers["Retry-After"] == "1"


def test_requests_are_counted_by_operation_and_nothing_a_caller_chose(server: Server) -> None:
    with server.client("canary-token") as client:
        client.get("/projects/canary-project")
    text = httpx.get(server.url + "metrics").text
    assert 'animus_requests_total{operation="projects.read",status="401"}' in text
    assert "canary" not in text


def test_counts_are_not_given_through_a_proxy(server: Server) -> None:
    answer = httpx.get(server.url + "metrics", headers={"X-Forwarded-For": "203.0.113.9"})
    assert answer.status_code == 404
