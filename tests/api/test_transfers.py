# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Bytes arrive under their digest or not at all, and leave only for who may have them."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator
from uuid import uuid4

import httpx
import pytest

from animus_control.domain.errors import AnimusError
from tests.api.conftest import BOTH, MAX_OBJECT_BYTES, PREFIX, Server, key
from tests.api.test_authorisation_matrix import all_events
from tests.api.world import World, digest, populate

ENGINES = BOTH


@pytest.fixture(scope="module")
def world(server: Server, project: str) -> World:
    return populate(server, project)


@pytest.fixture
def ed(server: Server) -> Iterator[httpx.Client]:
    with server.client("ed") as client:
        yield client


def url_of(world: World, content: bytes) -> str:
    return f"/projects/{world.path['project']}/objects/{digest(content)}"


def in_parts(content: bytes) -> Iterator[bytes]:
    for start in range(0, len(content), 100_000):
        yield content[start : start + 100_000]


@pytest.mark.parametrize("size", [0, 1, 300_000, 5_000_000])
@pytest.mark.parametrize("chunked", [False, True])
def test_an_upload_is_stored_under_its_digest(
    server: Server,
    world: World,
    ed: httpx.Client,
    size: int,
    chunked: bool,
) -> None:
    content = os.urandom(size)
    answer = ed.put(url_of(world, content), content=in_parts(content) if chunked else content)
    assert (answer.status_code, answer.json()) == (201, {"digest": digest(content), "size_bytes": size})
    assert server.objects.kept[answer.json()["digest"]] == content


def test_a_small_upload_sent_again_answers_alike(world: World, ed: httpx.Client) -> None:
    content = os.urandom(100)
    assert (
        ed.put(url_of(world, content), content=content).json() == ed.put(url_of(world, content), content=content).json()
    )


def test_other_bytes_than_the_digest_says_are_refused_and_not_noted(world: World, ed: httpx.Client) -> None:
    content = os.urandom(100)
    answer = ed.put(url_of(world, content), content=content[:-1] + b"x")
    assert (answer.status_code, answer.json()["code"]) == (422, "artifact_hash_mismatch")
    entry = {"path": "x.csv", "digest": digest(content), "size_bytes": 100}
    base = f"/projects/{world.path['project']}/datasets/{world.path['dataset']}"
    version = ed.post(f"{base}/versions", json={"files": [entry]}, headers=key())
    assert (version.status_code, version.json()["code"]) == (422, "object_not_found")


@pytest.mark.parametrize("name", ["sha256:abc", "md5:" + "0" * 32, "sha256:" + "A" * 64, "x", "sha256:" + "0" * 65])
def test_a_digest_that_is_none_is_refused(world: World, ed: httpx.Client, name: str) -> None:
    answer = ed.put(f"/projects/{world.path['project']}/objects/{name}", content=b"x")
    assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, "$.digest")


@pytest.mark.parametrize("chunked", [False, True])
def test_an_object_over_the_limit_is_refused(
    world: World,
    ed: httpx.Client,
    chunked: bool,
) -> None:
    content = bytes(MAX_OBJECT_BYTES + 1)
    if chunked:
        with pytest.raises(httpx.HTTPError):  # the server hangs up: it cannot know the size before
            ed.put(url_of(world, content), content=in_parts(content)).raise_for_status()
    else:
        url = httpx.URL(world.server.url)
        head = (
            f"PUT {PREFIX}api/v1{url_of(world, content)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ed\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
            connection.sendall(head.encode())
            assert connection.recv(65536).startswith(b"HTTP/1.1 413")


@pytest.mark.parametrize(("token", "status"), [("vic", 403), ("eve", 404), ("nobody", 401)])
def test_an_upload_nobody_may_make_stores_nothing(server: Server, world: World, token: str, status: int) -> None:
    content = os.urandom(200_000)
    with server.client(token) as client:
        assert client.put(url_of(world, content), content=content).status_code == status
    assert digest(content) not in server.objects.kept


def test_an_upload_that_breaks_off_stores_nothing(server: Server, world: World) -> None:
    url, content = httpx.URL(server.url), os.urandom(1000)
    head = f"PUT {PREFIX}api/v1{url_of(world, content)} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ed\r\n"
    with socket.create_connection((url.host, url.port or 80)) as connection:
        connection.sendall(head.encode() + b"Content-Length: 2000\r\n\r\n" + content)
        time.sleep(0.1)
    while server.edge.in_flight:
        time.sleep(0.01)
    assert digest(content) not in server.objects.kept


def test_a_full_disk_is_told_with_a_time_to_come_back(server: Server, world: World, ed: httpx.Client) -> None:
    content = os.urandom(3_000_000)
    server.objects.failing = AnimusError("storage_full")
    try:
        answer = ed.put(url_of(world, content), content=content)
    finally:
        server.objects.failing = None
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (507, "storage_full", "30")
    assert ed.put(url_of(world, content), content=content).status_code == 201


def test_a_download_gives_the_very_bytes_as_an_attachment_and_is_audited(server: Server, world: World) -> None:
    path = f"/projects/{world.path['project']}/dataset-versions/{world.path['version']}/files/{world.path['digest']}"
    with server.client("vic", **{"X-Request-Id": uuid4().hex}) as vic, server.client("ann") as ann:
        answer = vic.get(path)
        events = all_events(ann, f"/projects/{world.path['project']}/audit-events")
    assert digest(answer.content) == world.path["digest"]
    assert answer.headers["Content-Disposition"] == "attachment; filename*=UTF-8''train.csv"
    assert answer.headers["Content-Type"] == "application/octet-stream"
    records = [event["record"] for event in events]
    found = [record["action"] for record in records if record["request_id"] == answer.headers["X-Request-Id"]]
    assert found == ["dataset_version.downloaded"]


def test_bytes_that_are_gone_are_told_as_missing_and_not_as_an_empty_file(server: Server, world: World) -> None:
    path = f"/projects/{world.path['project']}/dataset-versions/{world.path['version']}/files/{world.path['digest']}"
    kept = server.objects.kept.pop(world.path["digest"])  # type: ignore[call-overload]  # a digest by construction
    try:
        with server.client("vic") as vic:
            answer = vic.get(path)
    finally:
        server.objects.kept[world.path["digest"]] = kept  # type: ignore[index]  # as above
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_bytes_of_another_number_are_told_before_any_of_them_leaves(server: Server, world: World) -> None:
    path = f"/projects/{world.path['project']}/dataset-versions/{world.path['version']}/files/{world.path['digest']}"
    kept = server.objects.kept[world.path["digest"]]  # type: ignore[index]  # a digest by construction
    try:
        for changed in (kept[:-1], kept + b"x"):
            server.objects.kept[world.path["digest"]] = changed  # type: ignore[index]  # as above
            with server.client("vic") as vic:
                answer = vic.get(path)
            assert (answer.status_code, answer.json()["code"]) == (422, "artifact_hash_mismatch")
            assert f"holds {len(changed)} bytes" in answer.json()["detail"]
    finally:
        server.objects.kept[world.path["digest"]] = kept  # type: ignore[index]  # as above
