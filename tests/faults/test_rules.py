# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Over real processes: a run waits for a second person and then succeeds, and a schedule follows its branch while
control planes come and go, and ends when its owner leaves the group that may. Hours pass by the control planes' clocks.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus.locking import platform_tag
from animus_contracts.approvals import ApprovalState
from animus_contracts.projects import Role, SubjectType
from animus_contracts.runs import CodeRef, RunState, SubmitRun
from animus_contracts.schedules import CatchUp, CreateSchedule, Firing, FiringState, Overlap
from tests.fakes.git_repository import GitRepository
from tests.faults.plant import CONTROL, SECOND_CONTROL, Plant, a_plant

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
PATIENCE_SECONDS = 60
HOUR = 3600
GATE = '@id("gate")@reason("four eyes") forbid (principal, action, resource) unless { context has approval };'

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]


def notebook(code: str) -> str:
    return nbformat.writes(new_notebook(cells=[new_code_cell(code)]))


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    with a_plant(tmp_path, users=["bob"]) as running:
        with running.client() as admin:
            admin.projects.create("rules")
            admin.in_project("rules").members.add("ann", Role.ADMIN)
            admin.in_project("rules").members.add("bob", Role.EDITOR)
        yield running


@pytest.fixture
def repository(plant: Plant) -> GitRepository:
    made = GitRepository(plant.repositories / "rules")
    made.commit({"train.ipynb": notebook("print('one')")})
    return made


@pytest.fixture
def submission(plant: Plant, repository: GitRepository) -> SubmitRun:
    with plant.client("rules") as client:
        environment = client.environments.define("plain", python="3.11", requirements=[])
        lock = client.environments.lock(environment, LOCK_FILE.read_text(), platform=platform_tag())
    code = CodeRef(repository=repository.url, commit=repository.git("rev-parse", "HEAD"), path="train.ipynb")
    return SubmitRun(code=code, environment_lock_id=lock.lock_id)


def test_a_run_waits_for_a_second_person_and_then_succeeds(plant: Plant, submission: SubmitRun) -> None:
    with plant.client("rules") as ann, plant.client("rules", user="bob") as bob:
        ann.policies.put("gate", GATE)
        run = bob.runs.submit(submission)
        assert run.state is RunState.AWAITING_APPROVAL

        plant.kill(CONTROL)
        plant.start(CONTROL)
        plant.wait_ready()
        (asked,) = ann.approvals.list(state=ApprovalState.PENDING)
        ann.approvals.approve(asked, comment="go")

        assert bob.runs.wait(run.run_id).state is RunState.SUCCEEDED
        assert ann.audit.verify()[0] > 0


def test_a_schedule_follows_its_branch_while_control_planes_come_and_go(
    plant: Plant, submission: SubmitRun, repository: GitRepository
) -> None:
    plant.start(SECOND_CONTROL)
    plant.wait_ready(SECOND_CONTROL)
    with plant.client("rules", user="bob") as bob:
        bob.schedules.create(hourly(submission, ref="main", overlap=Overlap.ALLOW))

        an_hour_later(plant, CONTROL, SECOND_CONTROL)
        (first,) = fired(bob, 1)
        assert first.commit_id == submission.code.commit
        assert bob.runs.wait(first.run_id).state is RunState.SUCCEEDED

        newer = repository.commit({"train.ipynb": notebook("print('two')")})
        an_hour_later(plant, SECOND_CONTROL)
        with plant.client("rules", user="bob", control=SECOND_CONTROL) as other:
            settled(other, FiringState.PENDING, 1)  # the executor asks the one that is not there
        plant.start(CONTROL)
        plant.wait_ready()
        second, _ = fired(bob, 2)

        assert second.commit_id == newer
        assert (second.due_at - first.due_at).total_seconds() == HOUR
        for firing in (first, second):
            ended = bob.runs.wait(firing.run_id)
            assert (ended.state, ended.created_by) == (RunState.SUCCEEDED, "user:bob")
        assert len(list(bob.schedules.firings("tip"))) == 2


def test_who_left_the_group_that_may_submit_has_fired_for_the_last_time(plant: Plant, submission: SubmitRun) -> None:
    bob_at_the_hub = next(person for person in plant.people.values() if person["name"] == "bob")
    bob_at_the_hub["groups"] = ["lab"]
    with plant.client("rules") as ann, plant.client("rules", user="bob") as bob:
        ann.members.add("lab", Role.EDITOR, subject_type=SubjectType.GROUP)
        ann.members.remove(next(each for each in ann.members.list() if each.subject == "bob"))
        bob.schedules.create(hourly(submission, overlap=Overlap.ALLOW))

        an_hour_later(plant, CONTROL)
        fired(bob, 1)

        bob_at_the_hub["groups"] = []
        an_hour_later(plant, CONTROL)
        (refused,) = settled(ann, FiringState.REFUSED, 1)

        assert "user:bob has no role in the project 'rules'" in refused.reason
        told = [msgspec.json.decode(event.record)["details"] for event in ann.audit.list(action="schedule.fired")]
        states = [details["state"] for details in told if details["state"] != "pending"]  # until the Hub has said it
        assert states == ["fired", "refused"]


def hourly(submission: SubmitRun, **more: Any) -> CreateSchedule:
    """Return a schedule that is due in almost an hour, so that it is never due while nobody means it to be."""
    minute = datetime.now(UTC).minute
    return CreateSchedule(name="tip", cron=f"{minute} * * * *", submission=submission, catch_up=CatchUp.LAST, **more)


def an_hour_later(plant: Plant, *controls: str) -> None:
    """Kill all control planes and start these an hour later, as their clocks have it."""
    for name in (CONTROL, SECOND_CONTROL):
        if name in plant.processes:
            plant.kill(name)
    plant.ahead += HOUR
    for name in controls:
        plant.start(name)
        plant.wait_ready(name)


def fired(client: Client, count: int) -> list[Firing]:
    """Wait until a number of firings have a run; newest first."""
    return settled(client, FiringState.FIRED, count)


def settled(client: Client, state: FiringState, count: int) -> list[Firing]:
    """Wait until a number of firings are in a state; newest first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = [each for each in client.schedules.firings("tip") if each.state is state]
        if len(found) >= count:
            return found[:count]
        time.sleep(0.2)
    raise AssertionError([*client.schedules.firings("tip")])
