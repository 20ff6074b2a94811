# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Verbs beyond the first day: pushing, locking by uv, members, an audit chain that somebody rewrote."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest

from animus import locking
from animus.api.audit import Audit
from animus.client import Client
from animus.errors import AnimusError
from animus.session import Session
from animus.transport import Transport
from animus_contracts.audit import AuditEvent
from animus_contracts.decoding import convert
from animus_contracts.runs import RunState
from tests.api.conftest import Server
from tests.unit.client.conftest import LOCKED, run_git

Animus = Callable[..., tuple[int, str, str]]
UV = """#!/bin/sh
echo "$@" > "{folder}/arguments"
cat > "{folder}/wanted"
{then}
"""


@pytest.fixture
def in_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(checkout)
    return checkout


def test_a_commit_that_nobody_can_fetch_is_refused_until_it_is_pushed(
    animus: Animus, desk: Client, in_checkout: Path
) -> None:
    run_git(in_checkout, "commit", "-q", "--allow-empty", "-m", "later")
    code, _, err = animus("run", "train.ipynb")
    assert code == 2
    assert "commit_not_pushed" in err
    assert "--push" in err
    assert list(desk.runs.list()) == []
    assert animus("run", "train.ipynb", "--push")[0] == 0
    run = next(desk.runs.list())
    assert run.code.commit == run_git(in_checkout, "ls-remote", "origin", "refs/heads/main").split()[0]
    assert animus("cancel", run.run_id, "--reason", "enough")[0] == 0
    assert desk.runs.wait(run.run_id).state is RunState.CANCELED


def test_limits_are_changed_one_by_one_and_the_others_stay_the_environments(
    animus: Animus, desk: Client, in_checkout: Path
) -> None:
    del in_checkout
    assert animus("run", "train.ipynb", "--memory-mib", "512", "--wall-seconds", "60", "--label", "team=red")[0] == 0
    run = next(desk.runs.list())
    lock = next(desk.environments.locks())
    assert run.resources == msgspec.structs.replace(lock.limits, memory_mib=512, wall_seconds=60)
    assert run.labels == {"team": "red"}
    desk.runs.cancel(run.run_id)


@pytest.fixture
def fake_uv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def install(then: str) -> None:
        program = tmp_path / "uv"
        program.write_text(UV.format(folder=tmp_path, then=then))
        program.chmod(0o755)
        monkeypatch.setattr(locking, "uv", lambda: str(program))

    return install


def test_a_lock_is_resolved_with_hashes_without_addresses_and_with_a_kernel(
    animus: Animus, desk: Client, fake_uv: Callable[[str], None], tmp_path: Path
) -> None:
    (tmp_path / "locked").write_text(LOCKED)
    fake_uv(f"cat {tmp_path}/locked")
    assert animus("env", "define", "deep", "numpy>=2", "--python", "3.12")[0] == 0
    code, out, _ = animus("env", "lock", "deep", "--json")
    assert code == 0
    assert json.loads(out)["requirements"] == LOCKED
    assert (tmp_path / "wanted").read_text() == "numpy>=2\nipykernel"
    said = (tmp_path / "arguments").read_text()
    for option in ("--generate-hashes", "--no-emit-index-url", "--python-version 3.12"):
        assert option in said
    assert "deep" in animus("env", "locks", "deep")[1]
    assert next(desk.environments.locks("deep")).platform == locking.platform_tag()


def test_what_cannot_be_resolved_is_told_in_uvs_words_without_credentials(
    animus: Animus, fake_uv: Callable[[str], None]
) -> None:
    fake_uv("echo 'no version at https://ann:secret@packages.example.org' >&2; exit 1")
    code, _, err = animus("env", "lock", "science")
    assert (code, err.count("\n")) == (3, 1)
    assert "not_resolved: no version at https://***@packages.example.org" in err


def test_without_uv_there_is_a_way_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("sysconfig.get_path", lambda _: str(tmp_path))
    with pytest.raises(AnimusError, match=r"--file requirements\.txt"):
        locking.uv()


def test_members_come_and_go(animus: Animus) -> None:
    assert animus("member", "add", "gil", "viewer", "--type", "group")[0] == 0
    assert "group:gil" in animus("member", "list")[1]
    assert "no role" in animus("member", "remove", "gil")[2]  # there is no user gil
    assert animus("member", "remove", "gil", "--type", "group")[0] == 0
    assert "gil" not in animus("member", "list")[1]


def test_projects_are_archived_and_come_back(client: Client) -> None:
    assert client.projects.archive().state == "archived"
    with pytest.raises(AnimusError, match="project_archived"):
        client.datasets.create("late")
    assert client.projects.unarchive().state == "active"
    assert client.datasets.create("late").name == "late"


@pytest.mark.parametrize(
    ("spoil", "fault"),
    [
        (lambda events: events, ""),
        (lambda events: [*events[:2], *events[3:]], "event 3 missing: found 4 instead"),
        (lambda events: events[1:], "event 1 missing: found 2 instead"),
        (lambda events: [events[0], rewritten(events[1]), *events[2:]], "event 2 content does not match its hash"),
        (lambda events: [events[0], relinked(events[1]), *events[2:]], "event 2 does not follow its predecessor"),
    ],
    ids=["whole", "one missing", "the first missing", "rewritten", "relinked"],
)
def test_the_chain_is_verified_on_this_side(plane: Server, client: Client, spoil: object, fault: str) -> None:
    del client
    with Client(Session(url=plane.url.rstrip("/"), token="root")) as root:
        assert root.audit.verify()[0] > 3
        with plane.client("root") as http:
            page = http.get("/audit-events", params={"limit": 5}).json()
    events = [convert(event, AuditEvent) for event in map(as_raw, page["items"])]
    assert callable(spoil)
    body = msgspec.json.encode({"items": spoil(events), "next_cursor": None})
    http_of = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200, content=body)))
    audit = Audit(Transport(Session(url="http://x", token="t"), http=http_of), "p")
    if not fault:
        assert audit.verify() == (5, events[-1].hash)
        return
    with pytest.raises(AnimusError, match="audit_chain_broken") as caught:
        audit.verify()
    assert fault in str(caught.value)


def as_raw(event: dict[str, object]) -> dict[str, object]:
    return event | {"record": msgspec.Raw(msgspec.json.encode(event["record"]))}


def rewritten(event: AuditEvent) -> AuditEvent:
    return msgspec.structs.replace(event, record=msgspec.Raw(bytes(event.record).replace(b"user:", b"uzer:")))


def relinked(event: AuditEvent) -> AuditEvent:
    return msgspec.structs.replace(event, previous_hash="f" * 64)
