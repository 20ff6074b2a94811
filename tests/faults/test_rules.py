# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Over real processes: a run waits for a second person and then succeeds, and a schedule follows its branch while
control planes come and go.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus.locking import platform_tag
from animus_contracts.approvals import ApprovalState
from animus_contracts.projects import Role
from animus_contracts.runs import CodeRef, RunState, SubmitRun
from animus_contracts.schedules import CatchUp, CreateSchedule, Firing, FiringState, Overlap
from tests.fakes.git_repository import GitRepository
from tests.faults.plant import CONTROL, SECOND_CONTROL, Plant, a_plant

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
PATIENCE_SECONDS = 240
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
    wanted = CreateSchedule(
        name="tip",
        cron="* * * * *",
        submission=submission,
        ref="main",
        overlap=Overlap.ALLOW,
        catch_up=CatchUp.LAST,
    )
    with plant.client("rules", user="bob") as bob:
        bob.schedules.create(wanted)
        (first,) = fired(bob, 1)
        assert first.commit_id == submission.code.commit

        newer = repository.commit({"train.ipynb": notebook("print('two')")})
        plant.kill(CONTROL)
        plant.start(CONTROL)
        plant.wait_ready()
        second, _ = fired(bob, 2)

        assert second.commit_id == newer
        for firing in (first, second):
            assert firing.run_id is not None
            ended = bob.runs.wait(firing.run_id)
            assert (ended.state, ended.created_by) == (RunState.SUCCEEDED, "user:bob")
        times = [firing.due_at for firing in reversed(list(bob.schedules.firings("tip")))]
        assert all((later - earlier).total_seconds() == 60 for earlier, later in pairwise(times))


def fired(client: Client, count: int) -> list[Firing]:
    """Wait until a number of firings have a run; newest first."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        found = [each for each in client.schedules.firings("tip") if each.state is FiringState.FIRED]
        if len(found) >= count:
            return found[:count]
        time.sleep(1)
    raise AssertionError([*client.schedules.firings("tip")])
