# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A full disk, a database that is held, stopped or no database: told as such, and nothing that was promised is lost."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

from animus_contracts.datasets import CreateDataset
from animus_contracts.digests import digest_bytes
from tests.e2e.bad_input import NOTEBOOK, Works, one_line, refused, the_works
from tests.faults.disks import a_small_disk, fill
from tests.faults.plant import CONTROL, a_plant
from tests.patience import until
from tests.postgres_server import find_binaries, running

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]

MIB = 1 << 20
DISK_MIB = 24


@pytest.fixture(scope="module", name="works")
def _works(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Works]:
    with the_works(tmp_path_factory.mktemp("held"), executes=False) as works:
        works.submit(works.submission())
        yield works


def readiness(works: Works) -> tuple[int, list[str]]:
    """Return what the control plane says of itself: status and failing checks."""
    answer = httpx.get(f"{works.plant.url}/readyz", timeout=20)
    return answer.status_code, answer.json()["failing"]


def create(works: Works, name: str, *, key: str = "") -> httpx.Response:
    """Ask for a dataset."""
    return works.call("datasets.create", CreateDataset(name=name), key=key)


def test_a_full_disk_is_told_and_when_there_is_room_again_everything_acknowledged_is_there(tmp_path: Path) -> None:
    with (
        a_small_disk(tmp_path / "stores", mebibytes=DISK_MIB) as disk,
        the_works(tmp_path, stores=disk, executes=False) as works,
    ):
        works.submit(works.submission())
        fill(disk / "ballast")
        content, key = os.urandom(MIB), uuid4().hex
        refused(works.call("objects.put", content, digest=digest_bytes(content)), "storage_full", "object store")
        kept = []
        while (answer := create(works, f"d{len(kept)}", key=f"{key}-{len(kept)}")).is_success:
            kept.append(answer.json()["name"])
            assert len(kept) < 2000
        problem = refused(answer, "storage_full", "the database has no room left")
        assert problem.retryable
        assert answer.headers["Retry-After"]
        assert readiness(works) == (503, ["database", "objects"])
        assert works.call("runs.list").status_code == httpx.codes.OK
        began = time.monotonic()
        one_line(works.animus("dataset", "add", "more", NOTEBOOK), 4, "storage_full", "no room", "administrator")
        assert time.monotonic() - began < 30, "a command must not keep its user waiting for a disk"
        (disk / "ballast").unlink()
        until(lambda: readiness(works) == (200, []), seconds=20, pause=0.1)
        assert create(works, f"d{len(kept)}", key=f"{key}-{len(kept)}").status_code == httpx.codes.CREATED
        assert works.call("objects.put", content, digest=digest_bytes(content)).status_code == httpx.codes.CREATED
        works.submit(works.submission())
        assert {*kept, f"d{len(kept)}", "wine"} == {dataset.name for dataset in works.client().datasets.list()}
        works.check_nothing_is_lost()


def test_a_database_that_somebody_else_holds_is_unavailable_and_then_works_again(works: Works) -> None:
    key = uuid4().hex
    other = sqlite3.connect(works.plant.database_url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    refused(create(works, "held", key=key), "service_unavailable", "the database cannot answer now")
    assert readiness(works) == (503, ["database"])
    assert works.call("runs.list").status_code == httpx.codes.OK
    other.execute("ROLLBACK")
    other.close()
    assert create(works, "held", key=key).status_code == httpx.codes.CREATED
    until(lambda: readiness(works) == (200, []), seconds=20, pause=0.1)
    works.check_nothing_is_lost()


@pytest.mark.postgres
def test_a_database_that_is_stopped_is_unavailable_and_then_works_again(tmp_path: Path) -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL server")
    with (
        running(binaries, settings=()) as server,
        the_works(tmp_path, database_url=server.create("animus"), executes=False) as works,
    ):
        works.submit(works.submission())
        key = uuid4().hex
        server.stop()
        refused(create(works, "later", key=key), "service_unavailable", "the database cannot answer now")
        refused(works.call("runs.list"), "service_unavailable")
        assert readiness(works) == (503, ["database"])
        assert httpx.get(f"{works.plant.url}/healthz").status_code == httpx.codes.OK
        one_line(works.animus("runs"), 4, "service_unavailable", "database", "repeat")
        server.start()
        until(lambda: readiness(works) == (200, []), seconds=20, pause=0.1)
        assert create(works, "later", key=key).status_code == httpx.codes.CREATED
        works.submit(works.submission())
        works.check_nothing_is_lost()


def test_a_control_plane_that_is_gone_is_told_in_one_line(works: Works) -> None:
    works.plant.kill(CONTROL)
    one_line(works.animus("run", NOTEBOOK), 4, "unreachable", works.plant.url, "safe")
    works.plant.start(CONTROL)
    works.plant.wait_ready()
    works.check_nothing_is_lost()


def test_a_file_that_is_no_database_is_left_as_it_is_and_named_in_one_line(tmp_path: Path) -> None:
    content = b"this is no database at all" * 400
    with a_plant(tmp_path, executes=False) as plant:
        plant.kill(CONTROL)
        for leftover in tmp_path.glob("control.sqlite-*"):
            leftover.unlink()
        (tmp_path / "control.sqlite").write_bytes(content)
        log = tmp_path / "control.log"
        before = log.stat().st_size
        plant.start(CONTROL)
        assert plant.processes[CONTROL].wait(timeout=30) == 1
        said = log.read_bytes()[before:].decode()
    assert said.startswith("animus-control-plane: the database cannot be opened")
    assert "file is not a database" in said
    assert said.count("\n") == 1
    assert (tmp_path / "control.sqlite").read_bytes() == content
