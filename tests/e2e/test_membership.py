# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A role is effective at once for writes, and within 30 seconds for everything the Hub mirrors."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from animus.client import Client
from animus.demo import scenes
from animus.demo.people import Person, log_in
from animus.errors import RefusedError
from animus.session import Session
from animus_contracts.projects import Role
from animus_contracts.runs import CancelRun
from tests.e2e.conftest import World

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

PROMISED_SECONDS = 30


def seconds_until(condition: Callable[[], bool], limit: float) -> float:
    began = time.monotonic()
    while not condition() and time.monotonic() - began < limit:
        time.sleep(0.2)
    return time.monotonic() - began


def test_a_viewer_may_look_and_not_submit(world: World) -> None:
    assert list(world.vic.client.runs.list())
    run = scenes.newest(world.vic)
    with pytest.raises(RefusedError) as refusal:
        world.vic.client.transport.call("runs.cancel", {"project": scenes.PROJECT, "run": run.run_id}, body=CancelRun())
    assert refusal.value.code == "forbidden"


def test_a_removed_member_loses_writes_at_once_and_the_workspace_within_the_promised_time(world: World) -> None:
    world.ann.client.members.add("vic", Role.EDITOR)
    vic = log_in(world.hub.address, "vic", world.passwords["vic"])
    vic.ask_for_workspace(scenes.PROJECT)
    workspace = vic.workspace(scenes.PROJECT)
    binding = next(found for found in world.ann.client.members.list() if found.subject == "vic")
    with client_with(world, vic.token) as client:
        client.datasets.create("before-the-end")
        world.ann.client.members.remove(binding)
        try:
            with pytest.raises(RefusedError):
                client.datasets.create("after-the-end")
            assert seconds_until(lambda: not answers(vic, workspace), 2 * PROMISED_SECONDS) <= PROMISED_SECONDS
            # 400 while the Hub tidies up after the workspace that has ended.
            assert seconds_until(lambda: start(vic).status_code != httpx.codes.BAD_REQUEST, PROMISED_SECONDS)
            assert start(vic).status_code == httpx.codes.FORBIDDEN
            assert "not a member" in start(vic).text
        finally:
            world.ann.client.members.add("vic", Role.VIEWER)


def test_a_workspace_cannot_be_named_after_nothing(world: World) -> None:
    answer = start(world.ed.person, "elsewhere")
    assert answer.status_code == httpx.codes.FORBIDDEN
    assert "not a member" in answer.text


def test_the_token_of_a_workspace_reaches_its_own_project_only_and_never_administers(world: World) -> None:
    world.ann.animus("project", "create", "other")
    world.ann.client.in_project("other").members.add("ed", Role.EDITOR)
    with client_with(world, token_of_workspace(world)) as inside:
        assert list(inside.runs.list())
        with pytest.raises(RefusedError) as refusal:
            inside.in_project("other").projects.read()
        assert refusal.value.code == "not_found"
        with pytest.raises(RefusedError):
            inside.projects.create("third")
        with pytest.raises(RefusedError):
            inside.members.add("eve", Role.VIEWER)


def start(person: Person, project: str = scenes.PROJECT) -> httpx.Response:
    return person.call("POST", f"/hub/api/users/{person.name}/servers/{project}", json={})


def answers(person: Person, workspace: str) -> bool:
    return person.call("GET", f"{workspace}api/status").status_code == httpx.codes.OK


def client_with(world: World, token: str) -> Client:
    return Client(Session(url=f"{world.hub.address}/services/animus", token=token, project=scenes.PROJECT))


def token_of_workspace(world: World) -> str:
    home = str(world.hub.data / "workspaces" / "ed" / scenes.PROJECT)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            variables = dict(
                line.split("=", 1) for line in (process / "environ").read_text().split("\0") if "=" in line
            )
        except OSError:
            continue
        if variables.get("HOME") == home and "JUPYTERHUB_API_TOKEN" in variables:
            return variables["JUPYTERHUB_API_TOKEN"]
    raise AssertionError("ed's workspace does not run")
