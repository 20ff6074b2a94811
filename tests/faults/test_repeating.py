# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Real processes: runs are checked, replayed, compared and retried as users see it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus.client import Client
from animus.display import as_text
from animus_contracts.answers import AnswerState
from animus_contracts.comparisons import CauseKind, Comparison, Match
from animus_contracts.identifiers import LockId
from animus_contracts.origins import Relation
from animus_contracts.preflights import CheckName, CheckState
from animus_contracts.runs import CodeRef, FailureReason, Run, RunClass, RunState, SubmitRun
from tests.fakes.git_repository import GitRepository
from tests.faults.plant import EXECUTOR, Plant, a_plant
from tests.patience import until

LOCK_FILE = Path(__file__).parent / "kernel-lock.txt"
ENDED = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELED}
SAME = ["values = [3, 1, 2]", "print(sorted(values))"]
CLOCK = ["print('begin')", "import datetime", "print(datetime.datetime.now())"]
SLOW = ["import time", "time.sleep(6)", "print('done')"]
HIDDEN = ["import os", "print(later)", "later = 1"]

pytestmark = [pytest.mark.faults, pytest.mark.timeout(300)]


@dataclass(frozen=True, slots=True)
class Place:
    """An installation with one project, one repository and one environment."""

    plant: Plant
    client: Client
    repository: GitRepository
    lock: LockId

    def commit(self, *cells: str) -> CodeRef:
        """Commit a notebook."""
        text = nbformat.writes(new_notebook(cells=[new_code_cell(source) for source in cells]))
        commit = self.repository.commit({"work.ipynb": text})
        return CodeRef(repository=self.repository.url, commit=commit, path="work.ipynb")

    def submission(self, *cells: str, retries: int = 0) -> SubmitRun:
        """Commit a notebook and make a submission of it."""
        return SubmitRun(code=self.commit(*cells), environment_lock_id=self.lock, seed=1, retries=retries)

    def succeeded(self, *cells: str) -> Run:
        """Run a notebook to its good end."""
        run = self.client.runs.wait(self.client.runs.submit(self.submission(*cells)).run_id)
        assert run.state is RunState.SUCCEEDED, run.failure
        return run

    def begun(self, *cells: str, retries: int) -> Run:
        """Run a notebook until it is in the middle of it."""
        run = self.client.runs.submit(self.submission(*cells, retries=retries))
        until(lambda: self.client.runs.read(run.run_id).progress.current_cell, pause=0.1)
        return run

    def stop_executor(self) -> None:
        """Stop the executor, which ends its runs as failed by the infrastructure, and start it again."""
        self.plant.processes[EXECUTOR].terminate()
        self.plant.processes[EXECUTOR].wait(30)
        self.plant.start(EXECUTOR)

    def replayed(self, run: Run) -> tuple[Run, Comparison]:
        """Replay a run and wait for the verdict."""
        replay = self.client.runs.wait(self.client.runs.replay(run.run_id).run_id)
        comparison = self.client.comparisons.of_replay(replay.run_id, run.run_id)
        assert comparison is not None
        return replay, self.client.comparisons.wait(comparison.comparison_id, patience=60)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with a_plant(tmp_path_factory.mktemp("repeating")) as plant:
        with plant.client() as admin:
            admin.projects.create("again")
        with plant.client("again") as client:
            repository = GitRepository(plant.repositories / "again")
            environment = client.environments.define("plain", python="3.11", requirements=[])
            lock = client.environments.lock(environment, LOCK_FILE.read_text())
            until(lambda: list(client.executors.list()))  # a preflight says that no executor was ever seen
            yield Place(plant, client, repository, lock.lock_id)


def test_a_replay_of_a_deterministic_notebook_is_identical(place: Place) -> None:
    run = place.succeeded(*SAME)

    replay, comparison = place.replayed(run)

    assert (replay.state, comparison.state) == (RunState.SUCCEEDED, AnswerState.ANSWERED)
    assert comparison.outputs is not None
    assert (comparison.outputs.verdict, comparison.outputs.causes) == (Match.IDENTICAL, [])
    assert comparison.inputs == []
    events = [event for event in place.client.runs.events(replay.run_id) if event.type == "run.compared"]
    assert [event.data["verdict"] for event in events] in ([], ["identical"])  # the story may have ended before
    story = place.client.runs.explain(run.run_id)
    assert [each.run_id for each in story.repetitions] == [replay.run_id]
    assert story.comparisons == [comparison]


def test_a_replay_of_a_clock_is_different_and_the_clock_is_blamed(place: Place) -> None:
    _, comparison = place.replayed(place.succeeded(*CLOCK))

    assert comparison.outputs is not None
    assert (comparison.outputs.verdict, comparison.outputs.first_differing_cell) == (Match.DIFFERENT, 2)
    assert comparison.outputs.causes[0].kind is CauseKind.CLOCK
    assert comparison.outputs.cells[0].diff


def test_two_runs_of_different_code_differ_by_their_inputs_first(place: Place) -> None:
    left, right = place.succeeded(*SAME), place.succeeded(*SAME, "print('more')")

    asked = place.client.comparisons.create(left.run_id, right.run_id)

    assert {"code.commit", "code.notebook"} <= {difference.field for difference in asked.inputs}
    comparison = place.client.comparisons.wait(asked.comparison_id, patience=60)
    assert comparison.outputs is not None
    assert comparison.outputs.causes[0].kind is CauseKind.CODE


def test_a_preflight_finds_hidden_state_and_leaves_nothing_behind(place: Place) -> None:
    before = [run.run_id for run in place.client.runs.list()]
    submission = place.submission(*HIDDEN)

    found = place.client.preflights.wait(place.client.preflights.create(submission).preflight_id, patience=60)

    hidden = next(check for check in found.checks if check.name is CheckName.HIDDEN_STATE)
    assert hidden.state is CheckState.WARNING
    assert "cell 2, line 1: 'later' is defined only in cell 3, below" in hidden.detail
    assert found.ready, found.checks
    assert [run.run_id for run in place.client.runs.list()] == before


def test_a_commit_that_is_nowhere_fails_the_preflight_with_the_words_of_a_run(place: Place) -> None:
    code = CodeRef(repository=place.repository.url, commit="0a" * 20, path="work.ipynb")
    submission = SubmitRun(code=code, environment_lock_id=place.lock, run_class=RunClass.DEVELOPMENT)

    found = place.client.preflights.wait(place.client.preflights.create(submission).preflight_id, patience=60)

    failed = {check.name: check.detail for check in found.checks if check.state is CheckState.FAILED}
    assert found.ready is False
    assert "is not in" in failed[CheckName.COMMIT]


@pytest.mark.parametrize("ref", ["main", "v1"])
def test_a_branch_and_a_tag_are_resolved_to_the_commit_they_mean(place: Place, ref: str) -> None:
    code = place.commit("print('tagged')")
    place.repository.git("tag", "--force", "-a", "v1", "-m", "first")

    asked = place.client.inspections.create(code.repository, ref, code.path)

    found = place.client.inspections.wait(asked.inspection_id, patience=60)
    assert found.findings is not None
    assert (found.findings.commit, found.findings.problem) == (code.commit, None)


def test_a_run_whose_executor_was_stopped_is_retried_and_succeeds(place: Place) -> None:
    run = place.begun(*SLOW, retries=1)
    place.stop_executor()

    failed = place.client.runs.wait(run.run_id)
    assert failed.failure is not None
    assert failed.failure.reason is FailureReason.INFRASTRUCTURE, failed.failure
    (retry,) = place.client.runs.explain(run.run_id).repetitions
    assert retry.origin is not None
    assert (retry.origin.relation, retry.origin.run_id) == (Relation.RETRY, run.run_id)
    ended = place.client.runs.wait(retry.run_id)
    assert ended.state is RunState.SUCCEEDED, ended.failure


def test_a_retry_waits_for_a_hub_that_does_not_tell_its_owners_groups_and_is_made_when_it_does(place: Place) -> None:
    (owner,) = place.plant.people.values()
    groups = owner.pop("groups")
    run = place.begun(*SLOW, retries=1)
    with sqlite3.connect(place.plant.stores / "control.sqlite") as database:
        database.execute("UPDATE user_groups SET as_of = 0")  # as if the run had gone on for half a minute
    place.stop_executor()
    place.client.runs.wait(run.run_id)

    assert place.client.runs.explain(run.run_id).repetitions == []
    words = "run.retry_held: the Hub has not said lately to which groups user:ann belongs"
    assert words in as_text(place.client.runs.explain(run.run_id))

    owner["groups"] = groups
    (retry,) = until(lambda: place.client.runs.explain(run.run_id).repetitions, pause=0.1)
    assert place.client.runs.wait(retry.run_id).state is RunState.SUCCEEDED
