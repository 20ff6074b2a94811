# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Doing a run again, comparing and checking, as people type it in the shell and in a notebook."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from animus import comparing, display, painting
from animus.client import Client
from animus.errors import UnreachableError
from animus.magics import animus as magic
from animus_contracts.answers import AnswerState
from animus_contracts.comparisons import CellComparison, Comparison, Match, OutputComparison, Tolerances
from animus_contracts.decoding import decode_json
from animus_contracts.identifiers import ComparisonId, ProjectId, RunId
from animus_contracts.inspections import NotebookFindings, UndefinedName
from animus_contracts.parameter_cells import read_parameters
from animus_contracts.runs import Run
from animus_contracts.tasks import TaskFailed, TaskResult
from animus_control.services.comparisons import COMPARED_EVENT
from tests.fakes.puppet import Puppet
from tests.unit.client.test_story import HOSTILE
from tests.unit.control.moments import NOW
from tests.unit.control.services.checks import a_verdict

Animus = Callable[..., tuple[int, str, str]]
DECLARED = read_parameters(
    {"cells": [{"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "depth: int = 3"}]}
)
HIDDEN = UndefinedName(name="frame", cell_index=1, cell_id="c", line=1)


@pytest.fixture(autouse=True)
def in_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)


@pytest.fixture
def run(animus: Animus, desk: Client, puppet: Puppet) -> Run:
    """A run that has succeeded and made a file."""
    assert animus("run", "train.ipynb", "-p", "depth=4", "--seed", "1")[0] == 0
    puppet.play(files={"model.bin": b"model"})
    return next(desk.runs.list())


def played(puppet: Puppet, result: TaskResult, **more: Any) -> threading.Thread:
    """Execute the next run, then do the next task."""

    def play() -> None:
        puppet.play(**more)
        puppet.do_task(result)

    thread = threading.Thread(target=play)
    thread.start()
    return thread


@pytest.mark.parametrize(
    ("verdict", "code"), [(Match.IDENTICAL, 0), (Match.EQUIVALENT, 0), (Match.DIFFERENT, 1), (Match.INCOMPARABLE, 1)]
)
def test_a_verified_replay_shows_the_verdict_and_ends_by_it(
    animus: Animus, run: Run, puppet: Puppet, verdict: Match, code: int
) -> None:
    player = played(puppet, a_verdict(verdict), files={"model.bin": b"model"})
    ended, out, _ = animus("replay", run.run_id, "--verify")
    player.join()

    assert ended == code
    assert f"Verdict: {verdict}" in out
    if verdict is Match.DIFFERENT:
        assert "first different cell: 3" in out
        assert "likely cause: clock in cell 3, line 1: time.time()" in out


def test_a_verified_replay_as_json_is_the_comparison(animus: Animus, run: Run, puppet: Puppet) -> None:
    player = played(puppet, a_verdict())
    code, out, _ = animus("replay", run.run_id, "--verify", "--json")
    player.join()
    comparison = decode_json(out, Comparison)
    assert (code, comparison.left_run_id, comparison.outputs) == (0, run.run_id, a_verdict())


def test_a_replay_is_submitted_with_its_tolerances_and_explained_with_its_original(
    animus: Animus, run: Run, desk: Client, puppet: Puppet
) -> None:
    code, out, _ = animus("replay", run.run_id, "--absolute", "0.5")
    made = next(desk.runs.list())
    assert (code, out.split()[0]) == (0, made.run_id)
    comparison = desk.comparisons.of_replay(made.run_id, run.run_id)
    assert comparison is not None
    assert comparison.tolerances == Tolerances(absolute=0.5)
    player = played(puppet, a_verdict(Match.DIFFERENT))
    desk.comparisons.wait(comparison.comparison_id, patience=30)
    player.join()

    told = animus("explain", run.run_id)[1]

    assert f"{made.run_id}  replay 1  succeeded  by user:ann" in told
    assert f"replay verified: {run.run_id} and {made.run_id}: different (clock)" in told
    assert f"replay 1 of {run.run_id}" in animus("explain", made.run_id)[1]


def test_a_rerun_is_a_new_run_of_the_same_inputs(animus: Animus, run: Run, desk: Client, puppet: Puppet) -> None:
    assert animus("rerun", run.run_id)[0] == 0
    made = next(desk.runs.list())
    assert (made.run_id != run.run_id, made.inputs_hash) == (True, run.inputs_hash)
    puppet.play()


def test_two_runs_are_compared_in_one_command(animus: Animus, run: Run, desk: Client, puppet: Puppet) -> None:
    animus("rerun", run.run_id)
    other = next(desk.runs.list())
    puppet.play()
    player = threading.Thread(target=puppet.do_task, args=[a_verdict(Match.DIFFERENT)])
    player.start()

    code, out, _ = animus("compare", run.run_id, other.run_id)

    player.join()
    assert code == 1
    assert "2 of 3 cells identical" in out


def test_a_file_is_traced_to_the_run_that_made_it(animus: Animus, run: Run, tmp_path: Path) -> None:
    (tmp_path / "found.bin").write_bytes(b"model")
    (tmp_path / "other.bin").write_bytes(b"nobody made this")
    code, out, _ = animus("whence", str(tmp_path / "found.bin"))
    assert code == 0
    assert run.run_id in out
    assert animus("whence", str(tmp_path / "other.bin"))[1] == "Made by\n  nothing\n\nHeld by\n  nothing\n"


def test_a_file_is_traced_to_the_versions_of_datasets_that_hold_it_the_newest_first(
    animus: Animus, tmp_path: Path
) -> None:
    (tmp_path / "train.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "copy.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "more" / "new.csv").write_bytes(b"a,b\n3,4\n")
    assert animus("dataset", "add", "wine", str(tmp_path / "train.csv"))[0] == 0
    assert animus("dataset", "add", "wine", str(tmp_path / "more"))[0] == 0

    code, out, _ = animus("whence", str(tmp_path / "train.csv"))

    assert (code, [line.split() for line in out.splitlines()[-3:]]) == (
        0,
        [["dataset", "file"], ["wine@2", "copy.csv"], ["wine@1", "train.csv"]],
    )
    digest = "sha256:" + hashlib.sha256(b"a,b\n3,4\n").hexdigest()
    found = json.loads(animus("whence", digest, "--json")[1])
    assert [(each["dataset"], each["ordinal"], each["path"]) for each in found["datasets"]] == [("wine", 2, "new.csv")]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("replay", "nowhere"), 3, "not_found"),
        (("replay", "RUN", "--relative", "-1"), 3, "$.tolerances.relative"),
        (("replay", "RUN", "--relative", "much"), 2, "invalid float value"),
        (("compare", "RUN", "RUN"), 3, "another run"),
        (("compare", "RUN"), 2, "required"),
        (("whence", "/no/such/file"), 2, "no_such_file"),
        (("rerun",), 2, "required"),
    ],
)
def test_bad_input_is_one_line_with_its_place(
    animus: Animus, run: Run, words: tuple[str, ...], code: int, said: str
) -> None:
    given, _, err = animus(*(run.run_id if word == "RUN" else word for word in words))
    assert given == code
    assert said in err
    assert len(err.strip().splitlines()) == 1


def findings(*names: UndefinedName) -> NotebookFindings:
    return NotebookFindings(
        commit="0a" * 20, tree="1b" * 20, parameters=DECLARED, has_parameters_cell=True, undefined_names=list(names)
    )


def test_a_dry_run_submits_nothing_and_ends_by_its_answer(animus: Animus, desk: Client, puppet: Puppet) -> None:
    player = threading.Thread(target=puppet.do_task, args=[findings(HIDDEN)])
    player.start()
    code, out, _ = animus("run", "train.ipynb", "--dry-run", "--class", "production", "--json")
    player.join()

    checks = {check["name"]: check for check in json.loads(out)["checks"]}
    assert code == 1
    assert checks["hidden_state"]["detail"] == "cell 2, line 1: 'frame' is defined in no cell above"
    assert checks["policy"]["state"] == "failed"
    assert list(desk.runs.list()) == []


def test_a_dry_run_in_a_notebook_is_a_table_of_checks(
    desk: Client, puppet: Puppet, capsys: pytest.CaptureFixture[str]
) -> None:
    del desk
    player = threading.Thread(target=puppet.do_task, args=[findings()])
    player.start()
    shown = magic("run train.ipynb --dry-run")
    player.join()
    assert capsys.readouterr().err == ""
    assert "✓ hidden_state" in repr(shown)
    assert "<h4>" in shown._repr_html_()


def test_waiting_for_an_answer_that_never_comes_ends_with_what_to_do(desk: Client, puppet: Puppet) -> None:
    asked = desk.inspections.create("https://git.example/a.git", "main", "a.ipynb")
    with pytest.raises(UnreachableError, match="no executor has answered for 0 s"):
        desk.inspections.wait(asked.inspection_id, patience=0)
    puppet.do_task(TaskFailed(reason="nobody looked", is_final=True))
    assert desk.inspections.wait(asked.inspection_id, patience=10).failure == "nobody looked"


def test_hostile_text_in_a_comparison_stays_text(desk: Client) -> None:
    del desk
    cell = CellComparison(cell_index=0, cell_id="c", match=Match.DIFFERENT, detail=HOSTILE, diff=HOSTILE)
    outputs = msgspec.structs.replace(a_verdict(Match.DIFFERENT), cells=[cell], notes=[HOSTILE])
    comparison = a_comparison(outputs)

    shown = [display.as_html(comparison), painting.verdict(comparison), display.as_text(comparison)]

    assert all("<script" not in each for each in shown[:2])
    assert all("\x1b" not in each for each in shown)


def a_comparison(outputs: OutputComparison | None, state: AnswerState = AnswerState.ANSWERED) -> Comparison:
    return Comparison(
        comparison_id=ComparisonId("c"), project_id=ProjectId("p"), tolerances=Tolerances(), created_at=NOW,
        created_by="user:ann", left_run_id=RunId("a"), right_run_id=RunId("b"), state=state, outputs=outputs,
        failure="too large" if state is AnswerState.FAILED else "",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("comparison", "words", "agrees"),
    [
        (a_comparison(None, AnswerState.PENDING), "No verdict yet", False),
        (a_comparison(None, AnswerState.FAILED), "No verdict", False),
        (a_comparison(a_verdict()), "Verdict: identical", True),
    ],
)
def test_a_comparison_without_a_verdict_agrees_to_nothing(comparison: Comparison, words: str, agrees: bool) -> None:
    assert (comparing.verdict_of(comparison), comparing.agrees(comparison)) == (words, agrees)


def test_the_event_of_a_verdict_has_the_name_the_contract_tells() -> None:
    assert COMPARED_EVENT == "run.compared"
