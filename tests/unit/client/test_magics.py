# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``%animus`` in a real kernel, against the real control plane: what a cell shows, and what it must never show."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

from animus.client import Client
from animus.submission import Wish
from animus_contracts.comparisons import Match
from animus_contracts.runs import Failure, FailureReason
from tests.api.conftest import Server
from tests.fakes.puppet import Puppet
from tests.unit.control.services.checks import a_verdict

FIND_VIEW = """
import gc
from animus.widgets import RunView
view = next(one for one in gc.get_objects() if isinstance(one, RunView))
def texts(box):
    for child in getattr(box, "children", []):
        yield from texts(child)
    if isinstance(value := getattr(box, "value", None), str):
        yield value
"""
Execute = Callable[..., list[Any]]


@pytest.fixture
def execute(desk: Client, checkout: Path) -> Execute:
    """Execute cells in a new kernel and give every cell's outputs; the notebook is kept for inspection."""
    del desk

    def run(*sources: str) -> list[Any]:
        cells = [nbformat.v4.new_code_cell(source) for source in ("%load_ext animus", *sources)]
        notebook = nbformat.v4.new_notebook(cells=cells)
        NotebookClient(
            notebook, timeout=60, kernel_name="python3", resources={"metadata": {"path": checkout}}
        ).execute()
        nbformat.write(notebook, checkout / "driver.ipynb")
        return [cell["outputs"] for cell in notebook["cells"][1:]]

    return run


def text_of(outputs: list[Any]) -> str:
    parts = (output.get("text") or output.get("data", {}).get("text/plain", "") for output in outputs)
    return "".join(parts)


def widget_texts(notebook: Path) -> str:
    """Return everything the notebook's widgets show, as the file keeps it."""
    return json.dumps(json.loads(notebook.read_text())["metadata"].get("widgets", {}))


def test_a_cell_returns_at_once_with_a_view_that_follows_to_the_end(
    execute: Execute, desk: Client, puppet: Puppet
) -> None:
    player = threading.Thread(target=puppet.play, kwargs={"files": {"model.bin": b"model"}})
    player.start()
    # nbclient forgets what arrives between two cells, so the view's parts are asked for in the kernel
    shown = execute("%animus run train.ipynb -p depth=4", FIND_VIEW, "print(view.wait(30), *texts(view))")
    player.join()
    assert "application/vnd.jupyter.widget-view+json" in shown[0][0]["data"]
    run = next(desk.runs.list())
    assert shown[0][0]["data"]["text/plain"].startswith(f"run {run.run_id} of train.ipynb: ")
    told = text_of(shown[2])
    for words in (
        "True",
        "succeeded",
        "2 of 2 cells",
        "accuracy",
        "model.bin",
        f"/projects/{desk.project}/runs/{run.run_id}",
    ):
        assert words in told


def test_watching_attaches_to_the_run_and_submits_nothing(execute: Execute, desk: Client, puppet: Puppet) -> None:
    player = threading.Thread(target=puppet.play)
    player.start()
    shown = execute("%animus run train.ipynb --watch", "%animus watch --wait", "%animus watch")
    player.join()
    assert len(list(desk.runs.list())) == 1
    assert [len(outputs) for outputs in shown] == [1, 1, 1]


def test_a_failure_is_one_line_and_the_view_holds_cell_exception_and_remedy(
    execute: Execute, puppet: Puppet, checkout: Path
) -> None:
    failure = Failure(
        reason=FailureReason.USER_CODE,
        summary="Cell 2 raised KeyError.",
        exception="KeyError: '<script>'",
        remedy="name a column that exists",
        cell_index=1,
    )
    player = threading.Thread(target=puppet.play, kwargs={"failure": failure})
    player.start()
    shown = execute("%animus run train.ipynb --watch")
    player.join()
    assert "animus: run_not_succeeded: " in text_of(shown[0])
    assert all(output["output_type"] != "error" for output in shown[0])
    kept = widget_texts(checkout / "driver.ipynb")
    assert "Cell 2 raised KeyError." in kept
    assert "name a column that exists" in kept
    assert "<script>" not in kept


@pytest.mark.parametrize(("verdict", "said"), [(Match.IDENTICAL, ""), (Match.DIFFERENT, "replay_not_verified")])
def test_a_replay_shows_its_verdict_below_the_run_and_is_judged_by_it(
    execute: Execute, desk: Client, puppet: Puppet, checkout: Path, verdict: Match, said: str
) -> None:
    run = desk.run(Wish(notebook=checkout / "train.ipynb"))
    puppet.play()

    def play() -> None:
        puppet.play()
        puppet.do_task(a_verdict(verdict))

    player = threading.Thread(target=play)
    player.start()
    shown = execute(f"%animus replay {run.run_id} --verify")
    player.join()
    assert said in text_of(shown[0])
    assert bool(said) == ("animus: " in text_of(shown[0]))
    assert f"Verdict: {verdict}" in widget_texts(checkout / "driver.ipynb")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("run missing.ipynb", "notebook_not_found"),
        ("run train.ipynb -p depth=deep", "parameter_invalid"),
        ("runs --project foreign", "not_found"),
        ("run 'train.ipynb", "usage"),
        ("up", "this command is for the shell"),
    ],
)
def test_a_mistake_is_one_line_without_traceback(execute: Execute, line: str, said: str) -> None:
    (outputs,) = execute(f"%animus {line}")
    assert [(output["output_type"], output["name"]) for output in outputs] == [("stream", "stderr")]
    assert outputs[0]["text"].startswith("animus: ")
    assert outputs[0]["text"].count("\n") == 1
    assert said in outputs[0]["text"]


def test_answers_are_tables_and_json_on_request(execute: Execute, desk: Client) -> None:
    listed, told, helped = execute("%animus project list", "%animus member list --json", "%animus run --help")
    assert desk.project in listed[0]["data"]["text/html"]
    assert {binding["subject"] for binding in json.loads(text_of(told))} == {"ann", "ed", "vic", "root"}
    assert "--dataset" in text_of(helped)


def test_neither_outputs_nor_metadata_of_a_notebook_hold_the_token(
    plane: Server, checkout: Path, monkeypatch: pytest.MonkeyPatch, execute: Execute, puppet: Puppet
) -> None:
    token = "canary-0123456789abcdef"
    plane.users.known[token] = plane.users.known["ann"]
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", token)
    player = threading.Thread(target=puppet.play)
    player.start()
    execute(
        "%animus run train.ipynb --watch", "%animus whoami", "%animus explain", "%animus run nothing.ipynb",
        "import animus; client = animus.Client(); print(repr(client), repr(client.session), vars(client))",
    )  # fmt: skip
    player.join()
    assert token not in (checkout / "driver.ipynb").read_text()


def test_inside_a_run_the_command_submits_nothing(
    execute: Execute, desk: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANIMUS_RUN_ID", "0198")
    (outputs,) = execute("%animus run train.ipynb")
    assert text_of(outputs) == "animus: inside a run, `%animus run train.ipynb` does nothing\n"
    assert list(desk.runs.list()) == []


def test_outputs_saved_in_the_notebook_do_not_make_it_dirty(execute: Execute, desk: Client, checkout: Path) -> None:
    notebook = json.loads((checkout / "train.ipynb").read_text())
    notebook["cells"][1] |= {
        "execution_count": 3,
        "outputs": [{"output_type": "stream", "name": "stdout", "text": "3"}],
    }
    (checkout / "train.ipynb").write_text(json.dumps(notebook, indent=1))
    execute("%animus run train.ipynb")
    run = next(desk.runs.list())
    assert "dirty_worktree" not in run.limitations
    desk.runs.cancel(run.run_id)
