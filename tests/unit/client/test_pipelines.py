# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Pipelines as people use them: typed commands and cells, against the real control plane."""

from __future__ import annotations

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from animus import Pipeline
from animus.client import Client
from animus.pipeline_submission import PipelineWish, prepare_pipeline
from animus.pipeline_widgets import PipelineView
from animus_contracts.pipeline_runs import NodeState, PipelineState
from animus_contracts.runs import Failure, FailureReason, Limitation
from tests.fakes.puppet import Puppet
from tests.unit.client.conftest import run_git, write_notebook
from tests.unit.client.test_magics import Execute, execute, text_of

__all__ = ["execute"]  # a fixture

Animus = Callable[..., tuple[int, str, str]]
FILE = """\
name: wine
environment: science
parameters: {depth: 3}
nodes:
  prepare: {notebook: prepare.ipynb, outputs: [clean.csv]}
  train:
    notebook: train.ipynb
    inputs: {data: {from: prepare, artifact: clean.csv}}
    sweep: {items: [{depth: "${parameters.depth}"}, {depth: 9}]}
"""
BROKEN = Failure(reason=FailureReason.USER_CODE, summary="A cell raised an exception.")


@pytest.fixture
def flow(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A clone with a committed and pushed pipeline."""
    write_notebook(checkout / "prepare.ipynb", parameters="rows: int = 3")
    (checkout / "pipeline.yaml").write_text(FILE)
    publish(checkout)
    monkeypatch.chdir(checkout)
    return checkout / "pipeline.yaml"


def publish(folder: Path) -> None:
    run_git(folder, "add", ".")
    run_git(folder, "commit", "--quiet", "-m", "flow")
    run_git(folder, "push", "--quiet", "origin", "main:main")


def play(puppet: Puppet, *files: dict[str, bytes]) -> None:
    for made in files:
        puppet.lease()
        puppet.tell()
        puppet.end(files=made)


GOOD: tuple[dict[str, bytes], ...] = ({"clean.csv": b"1"}, {}, {})


def test_a_pipeline_is_checked_run_watched_shown_and_drawn(
    animus: Animus, desk: Client, flow: Path, puppet: Puppet
) -> None:
    code, out, _ = animus("pipeline", "check", "pipeline.yaml")
    assert (code, "sound: 2 nodes, 3 runs" in out) == (0, True)
    player = threading.Thread(target=play, args=(puppet, *GOOD))
    player.start()
    code, out, _ = animus("pipeline", "run", "pipeline.yaml", "-p", "depth=5", "--label", "team=red", "--watch")
    player.join()
    assert code == 0, out
    assert "✓ prepare succeeded" in out
    run = next(desk.pipelines.list(name="wine"))
    assert (run.state, run.parameters, run.labels) == (PipelineState.SUCCEEDED, {"depth": 5}, {"team": "red"})
    assert run.code.commit == run_git(flow.parent, "rev-parse", "HEAD")
    code, out, _ = animus("pipeline", "show")
    lines = [line.split() for line in out.splitlines()]
    assert ["0", "5", "✓", "succeeded", "0.5"] in lines
    assert ["1", "9", "✓", "succeeded", "0.5"] in lines
    code, out, _ = animus("pipeline", "graph", run.pipeline_run_id)
    assert ET.fromstring(out).get("role") == "img"  # noqa: S314 - our own document
    assert animus("pipeline", "graph", "--format", "mermaid", "--to", "flow.mmd")[:2] == (0, "wrote flow.mmd\n")
    assert "2 items: 2 succeeded" in Path("flow.mmd").read_text()
    assert "wine" in animus("pipeline", "list", "--state", "succeeded")[1]
    assert json.loads(animus("pipeline", "show", run.pipeline_run_id, "--json")[1])["run"]["name"] == "wine"
    prepare, _, last = desk.pipelines.nodes(run.pipeline_run_id)
    told = animus("explain", last.run_id or "")[1]
    assert f"node train[1] of pipeline run {run.pipeline_run_id}" in told
    assert f"artifact clean.csv of run {prepare.run_id} as 'data'" in told
    assert "artifact clean.csv as data" in told


def test_a_file_can_be_drawn_and_checked_without_a_control_plane(
    animus: Animus, flow: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    del flow
    monkeypatch.setenv("ANIMUS_URL", "http://127.0.0.1:1")
    assert "○ waiting" in animus("pipeline", "graph", "pipeline.yaml", "--format", "mermaid")[1]
    assert animus("pipeline", "check", "pipeline.yaml", "--offline")[0] == 0


def test_a_check_tells_every_fault_with_its_line_and_fails(animus: Animus, flow: Path) -> None:
    flow.write_text(FILE.replace("environment: science", "environment: scienc").replace("from: prepare", "from: prep"))
    code, out, _ = animus("pipeline", "check", "pipeline.yaml")
    assert code == 2
    rows = out.splitlines()
    assert rows[0].split() == ["line", "where", "what", "remedy"]
    assert {row.split()[0] for row in rows[1:]} == {"5", "6", "8"}
    assert "Did you mean 'science'?" in out
    assert "Did you mean 'prepare'?" in out
    found = json.loads(animus("pipeline", "check", "pipeline.yaml", "--json")[1])
    assert len(found["faults"]) == 3


def test_a_check_reads_the_notebooks_beside_the_file(animus: Animus, flow: Path) -> None:
    flow.write_text(FILE.replace("prepare.ipynb", "gone.ipynb").replace("{depth: 9}", "{width: 9}"))
    code, out, _ = animus("pipeline", "check", "pipeline.yaml", "--offline")
    assert code == 2
    assert "No such file" in out
    assert "$.nodes.train.sweep[1].parameters.width" in out


def test_a_fault_stops_a_run_before_anything_is_committed_or_submitted(
    animus: Animus, desk: Client, flow: Path
) -> None:
    head = run_git(flow.parent, "rev-parse", "HEAD")
    flow.write_text(FILE.replace("from: prepare", "from: train"))
    code, out, err = animus("pipeline", "run", "pipeline.yaml", "--commit", "broken")
    assert (code, out) == (2, "")
    assert err.startswith("animus: invalid_pipeline: pipeline.yaml, line 8: $.nodes.train.inputs.data")
    assert len(err.splitlines()) == 1
    assert run_git(flow.parent, "rev-parse", "HEAD") == head
    assert list(desk.pipelines.list()) == []


def test_what_only_the_control_plane_knows_is_refused_there_with_the_place(animus: Animus, flow: Path) -> None:
    flow.write_text(FILE.replace("environment: science", "environment: gone"))
    code, _, err = animus("pipeline", "run", "pipeline.yaml")
    assert code == 3
    assert "$.nodes.prepare.environment: the project has no locked environment 'gone'" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["-p", "depth"], "'depth' is not NAME=VALUE"),
        (["-p", "depth=deep"], "depth"),
        (["-p", "width=3"], "the pipeline has no parameter 'width'"),
        (["--priority", "much"], "invalid int value"),
    ],
)
def test_a_wrong_argument_is_one_line(animus: Animus, flow: Path, arguments: list[str], told: str) -> None:
    del flow
    code, _, err = animus("pipeline", "run", "pipeline.yaml", *arguments)
    assert code == 2
    assert told in err
    assert len(err.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["run", "gone.yaml"], "no_such_file"),
        (["check", "train.ipynb", "--offline"], "unknown field `cells`"),
        (["show", "0198"], "not_found"),
        (["watch", "pipeline.yaml"], "is a file, not a pipeline run"),
        (["show"], "has no pipeline run yet"),
        (["repair", "0198"], "not_found"),
    ],
)
def test_a_wrong_name_is_one_line(animus: Animus, flow: Path, words: list[str], told: str) -> None:
    del flow
    code, out, err = animus("pipeline", *words)
    assert code in {2, 3}
    assert told in out + err


def test_changes_that_are_not_committed_run_as_a_snapshot_and_never_in_production(
    animus: Animus, desk: Client, flow: Path
) -> None:
    flow.write_text(FILE + "# changed\n")
    code, _, err = animus("pipeline", "run", "pipeline.yaml", "--class", "production")
    assert (code, "dirty_worktree" in err) == (2, True)
    code, _, err = animus("pipeline", "run", "pipeline.yaml")
    assert (code, "uses a snapshot" in err) == (0, True)
    run = next(desk.pipelines.list())
    row = next(desk.pipelines.nodes(run.pipeline_run_id))
    assert Limitation.DIRTY_WORKTREE in desk.runs.read(row.run_id or "").limitations
    assert animus("pipeline", "cancel", run.pipeline_run_id, "--reason", "enough")[0] == 0
    assert desk.pipelines.read(run.pipeline_run_id).reason == "enough"


def test_a_notebook_that_is_not_committed_is_named(animus: Animus, flow: Path) -> None:
    write_notebook(flow.parent / "new.ipynb")
    flow.write_text(FILE.replace("prepare.ipynb", "new.ipynb"))
    code, _, err = animus("pipeline", "run", "pipeline.yaml")
    assert code == 2
    assert "new.ipynb is not part of commit" in err


def test_a_failed_pipeline_run_is_repaired_and_what_was_good_is_not_run_again(
    animus: Animus, desk: Client, flow: Path, puppet: Puppet
) -> None:
    del flow

    def fail_once() -> None:
        play(puppet, GOOD[0], {})
        puppet.lease()
        puppet.end(failure=BROKEN)

    player = threading.Thread(target=fail_once)
    player.start()
    code, out, _ = animus("pipeline", "run", "pipeline.yaml", "--watch")
    player.join()
    assert code == 1
    assert re.search(r"✗ train\[[01]\] failed: A cell raised an exception\.", out)
    failed = next(desk.pipelines.list())
    player = threading.Thread(target=play, args=(puppet, {}))
    player.start()
    code, out, _ = animus("pipeline", "repair", failed.pipeline_run_id, "--watch")
    player.join()
    assert code == 0, out
    repaired = next(desk.pipelines.list())
    states = Counter(row.state for row in desk.pipelines.nodes(repaired.pipeline_run_id))
    assert states == {NodeState.REUSED: 2, NodeState.SUCCEEDED: 1}
    assert animus("pipeline", "repair", repaired.pipeline_run_id)[0] == 3


def test_the_same_wish_after_a_lost_answer_is_one_pipeline_run(desk: Client, flow: Path) -> None:
    message, _ = prepare_pipeline(PipelineWish(file=flow))
    first = desk.pipelines.submit(message, key="k")
    assert desk.pipelines.submit(message, key="k") == first
    assert len(list(desk.pipelines.list())) == 1
    desk.pipelines.cancel(first.pipeline_run_id)


def test_a_pipeline_built_in_python_is_submitted(desk: Client, flow: Path) -> None:
    built = Pipeline("built", environment="science")
    first = built.node("prepare", "prepare.ipynb", outputs=["clean.csv"])
    built.node("train", "train.ipynb", inputs={"data": first["clean.csv"]})
    run = built.submit(flow.parent / "built.yaml", commit="built", labels={"by": "python"})
    assert (run.name, run.code.path, run.labels) == ("built", "built.yaml", {"by": "python"})
    assert run.code.commit == run_git(flow.parent, "rev-parse", "HEAD")
    desk.pipelines.cancel(run.pipeline_run_id)


def test_following_resumes_where_it_was_and_ends_with_the_run(desk: Client, flow: Path, puppet: Puppet) -> None:
    run, _ = desk.submit_pipeline(PipelineWish(file=flow))
    play(puppet, GOOD[0])
    changes = desk.pipelines.changes(run.pipeline_run_id)
    seen = next(changes)
    changes.close()  # type: ignore[attr-defined]  # a generator
    player = threading.Thread(target=play, args=(puppet, {}, {}))
    player.start()
    later = list(desk.pipelines.changes(run.pipeline_run_id, after=seen.event_id))
    player.join()
    assert later[0].event_id > seen.event_id
    assert later[-1].pipeline_run == desk.pipelines.wait(run.pipeline_run_id)
    assert later[-1].pipeline_run.state is PipelineState.SUCCEEDED
    assert list(desk.pipelines.changes(run.pipeline_run_id, after=later[-1].event_id)) == []


def test_a_view_is_painted_by_state_until_the_end(desk: Client, flow: Path, puppet: Puppet) -> None:
    run, notes = desk.submit_pipeline(PipelineWish(file=flow))
    released = threading.Event()
    view = PipelineView(desk, run, [*notes, "<b>note</b>"], release=released.set).start()
    play(puppet, *GOOD)
    assert view.wait(30)
    assert released.is_set()
    assert "succeeded" in repr(view)
    shown = "".join(child.value for child in view.children if hasattr(child, "value") and isinstance(child.value, str))
    assert "✓ 2 items: 2 succeeded" in shown
    assert "<b>note</b>" not in shown
    assert "accuracy" in shown


def test_a_cell_shows_a_pipeline_and_tells_a_mistake_in_one_line(
    execute: Execute, desk: Client, flow: Path, puppet: Puppet
) -> None:
    del flow, desk
    player = threading.Thread(target=play, args=(puppet, *GOOD))
    player.start()
    shown = execute(
        "%animus pipeline run pipeline.yaml --watch", "%animus pipeline check gone.yaml", "%animus pipeline list"
    )
    player.join()
    assert any("application/vnd.jupyter.widget-view+json" in output.get("data", {}) for output in shown[0])
    assert "no_such_file" in text_of(shown[1])
    assert "Traceback" not in text_of(shown[1])
    assert "succeeded" in text_of(shown[2])
