# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The edge takes what it promises to take and answers everything else with a problem."""

from __future__ import annotations

import json
import logging
import socket
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import httpx
import pytest

from animus_control.api.parsing import MAX_BODY_BYTES, MAX_HEADER_BYTES
from tests.api.conftest import PREFIX, Server, key

JSON = {"Content-Type": "application/json"}


@pytest.fixture
def root(server: Server) -> Iterator[httpx.Client]:
    with server.client("root") as client:
        yield client


def post(client: httpx.Client, content: bytes, **headers: str) -> httpx.Response:
    return client.post("/projects", content=content, headers=JSON | key() | headers)


FAULTS: dict[str, tuple[bytes, str, list[str]]] = {
    "syntax": (b"{", "invalid_json", []),
    "trailing data": (b'{"name":"abc"}{}', "invalid_json", []),
    "unknown member": (b'{"name":"abc","state":"archived"}', "invalid_request", ["$"]),
    "wrong type": (b'{"name":"abc","labels":{"a":1}}', "invalid_request", ["$.labels[...]"]),
    "duplicate": (b'{"name":"abc","name":"abd"}', "invalid_request", ["$..name"]),
    "depth": (b'{"name":"abc","labels":' + b"[" * 5000 + b"]" * 5000 + b"}", "body_too_deep", []),
    "rule": (b'{"name":"No Slug"}', "invalid_request", ["$.name"]),
    "NUL": (b'{"name":"abc","description":"\\u0000"}', "invalid_request", ["$.description"]),
    "empty": (b"", "invalid_json", []),
}


@pytest.mark.parametrize(("content", "code", "paths"), FAULTS.values(), ids=FAULTS)
def test_a_faulty_body_names_the_place_of_the_fault(
    root: httpx.Client, content: bytes, code: str, paths: list[str]
) -> None:
    answer = post(root, content)
    problem = answer.json()
    assert (answer.status_code, problem["code"]) == (400, code)
    assert [fault["path"] for fault in problem.get("errors", [])] == paths
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("member", ["state", "version", "project_id", "created_at", "created_by", "actor"])
def test_nobody_assigns_what_the_server_sets(root: httpx.Client, member: str) -> None:
    assert post(root, json.dumps({"name": f"p{uuid4().hex[:12]}", member: "x"}).encode()).status_code == 400


@pytest.mark.parametrize("media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_a_body_of_another_media_type_is_refused(root: httpx.Client, media_type: str) -> None:
    answer = post(root, b'{"name":"abc"}', **{"Content-Type": media_type})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_a_charset_beside_the_media_type_is_no_matter(root: httpx.Client) -> None:
    body = json.dumps({"name": f"p{uuid4().hex[:12]}"}).encode()
    assert post(root, body, **{"Content-Type": "application/json; charset=utf-8"}).status_code == 201


@pytest.mark.parametrize("size", [MAX_BODY_BYTES + 1, 3 * MAX_BODY_BYTES])
def test_a_body_over_the_limit_is_too_large_however_it_is_sent(root: httpx.Client, size: int) -> None:
    content = b" " * size
    announced = post(root, content)
    chunked = root.post("/projects", content=iter([content[: size // 2], content[size // 2 :]]), headers=JSON | key())
    for answer in (announced, chunked):
        assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


def test_a_body_of_exactly_the_limit_is_read(root: httpx.Client) -> None:
    name = f"p{uuid4().hex[:12]}"
    body = json.dumps({"name": name}).encode()
    assert post(root, body + b" " * (MAX_BODY_BYTES - len(body))).status_code == 201


def test_a_body_announced_as_enormous_is_refused_before_it_is_sent(server: Server) -> None:
    head = f"POST {PREFIX}api/v1/projects HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer root\r\n"
    answer = raw(server, head.encode() + b"Content-Length: 99999999999\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"body_too_large" in answer


def test_headers_over_the_limit_end_the_connection(server: Server) -> None:
    head = f"GET {PREFIX}healthz HTTP/1.1\r\nHost: x\r\nX-Long: {'x' * MAX_HEADER_BYTES}\r\n\r\n"
    assert b"200" not in raw(server, head.encode())


@pytest.mark.parametrize("path", ["/nowhere", "/projects/a/b/c", "/projects//runs", "/%00", "/projects/x%0ay"])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "PATCH"])
def test_a_path_that_leads_nowhere_is_not_found(root: httpx.Client, method: str, path: str) -> None:
    answer = root.request(method, path, content=b"x" * 10)
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize(
    ("path", "allow"),
    [("/projects", "GET, POST"), ("/projects/demo", "GET, PATCH"), ("/projects/demo/runs/1:cancel", "POST")],
)
@pytest.mark.parametrize("method", ["PUT", "DELETE", "OPTIONS", "HEAD", "BREW"])
def test_a_wrong_method_is_told_the_right_ones(root: httpx.Client, method: str, path: str, allow: str) -> None:
    answer = root.request(method, path)
    assert (answer.status_code, answer.headers["Allow"]) == (405, allow)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=201", "limit=x", "offset=1", "limit=1&limit=2", "cursor=%FF", "cursor=bad"]
)
def test_a_faulty_query_is_refused(root: httpx.Client, query: str) -> None:
    answer = root.get(f"/projects?{query}")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_query")


def test_an_operation_that_takes_no_query_refuses_one(root: httpx.Client) -> None:
    assert root.get("/identity?verbose=1").status_code == 400
    assert root.post("/projects?dry_run=1", json={"name": "abc"}, headers=key()).status_code == 400


def test_a_given_request_id_comes_back_and_a_harmful_one_does_not(root: httpx.Client) -> None:
    assert root.get("/identity", headers={"X-Request-Id": "my-request-1"}).headers["X-Request-Id"] == "my-request-1"
    answer = root.get("/nowhere", headers={"X-Request-Id": "a b<script>"})
    assert answer.headers["X-Request-Id"] == answer.json()["request_id"]
    assert len(answer.headers["X-Request-Id"]) == 32


def test_every_answer_carries_the_security_headers(server: Server, root: httpx.Client) -> None:
    answers = [root.get("/identity"), root.get("/nowhere"), post(root, b"{"), httpx.get(server.url + "healthz")]
    for answer in answers:
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-store"
        assert "Server" not in answer.headers


def test_a_change_names_the_version_it_changes(root: httpx.Client) -> None:
    created = root.post("/projects", json={"name": f"p{uuid4().hex[:12]}"}, headers=key())
    url = f"/projects/{created.json()['name']}"
    assert created.headers["ETag"] == '"1"'
    assert root.patch(url, json={"description": "a"}).status_code == 428
    changed = root.patch(url, json={"description": "a"}, headers={"If-Match": '"1"'})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    for stale in ('"1"', "2", "*", '"x"'):
        lost = root.patch(url, json={"description": "b"}, headers={"If-Match": stale})
        assert (lost.status_code, lost.json()["code"]) == (412, "precondition_failed")
    assert root.get(url).json()["description"] == "a"


def test_logs_hold_no_token_no_body_and_no_path(
    server: Server, root: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    canary = f"canary{uuid4().hex[:8]}"
    with caplog.at_level(logging.DEBUG), server.client(canary) as stranger:
        stranger.get(f"/projects/{canary}")
        post(root, json.dumps({"name": "abc", "description": canary, "x": canary}).encode())
        root.get(f"/projects?cursor={canary}")
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("animus")]
    assert lines
    assert canary not in "\n".join(lines)
    for line in lines:
        assert set(json.loads(line)) == {"event", "request_id", "operation", "subject", "status", "milliseconds"}


def raw(server: Server, request: bytes) -> bytes:
    url = httpx.URL(server.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        connection.sendall(request)
        received: list[Any] = []
        while part := connection.recv(65536):
            received.append(part)
    return b"".join(received)
