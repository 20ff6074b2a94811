# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""From files to a model in the shell, as a user types it."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from animus.client import Client
from animus_contracts.runs import Failure, FailureReason
from tests.fakes.puppet import Puppet
from tests.unit.client.conftest import LOCKED, run_git, write_notebook

Animus = Callable[..., tuple[int, str, str]]


@pytest.fixture(autouse=True)
def in_checkout(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(checkout)


def test_a_watched_run_shows_progress_and_ends_with_zero_when_it_succeeds(animus: Animus, puppet: Puppet) -> None:
    player = threading.Thread(target=puppet.play, kwargs={"files": {"model.bin": b"model"}})
    player.start()
    code, out, err = animus("run", "train.ipynb", "-p", "depth=4", "--watch")
    player.join()
    assert (code, err) == (0, "")
    assert "succeeded" in out
    assert "accuracy = 0.5" in out
    code, out, _ = animus("artifacts", "list", "--json")
    assert [made["name"] for made in json.loads(out)] == ["model.bin"]


def test_a_watched_run_that_fails_ends_with_one_and_says_why(animus: Animus, puppet: Puppet) -> None:
    failure = Failure(reason=FailureReason.USER_CODE, summary="cell 2 raised", exception="KeyError: 'x'", cell_index=1)
    player = threading.Thread(target=puppet.play, kwargs={"failure": failure})
    player.start()
    code, out, _ = animus("run", "train.ipynb", "--watch")
    player.join()
    assert code == 1
    assert "KeyError: 'x'" in out


def test_submitting_returns_at_once_with_the_runs_page(animus: Animus, desk: Client) -> None:
    code, out, _ = animus("run", "train.ipynb", "-p", "depth=4")
    assert code == 0
    run = next(desk.runs.list())
    assert out.split() == [run.run_id, "queued", f"{desk.session.url}/projects/{desk.project}/runs/{run.run_id}"]
    assert run.parameters == {"depth": 4}
    animus("cancel", run.run_id)


def test_the_whole_story_is_told_and_the_artifact_is_what_the_run_made(
    animus: Animus, puppet: Puppet, tmp_path: Path
) -> None:
    (tmp_path / "wine.csv").write_text("a,b\n1,2\n")
    assert animus("dataset", "add", "wine", str(tmp_path / "wine.csv"))[0] == 0
    assert animus("run", "train.ipynb", "--dataset", "train=wine@1")[0] == 0
    puppet.play(files={"model.bin": b"model"})
    code, out, _ = animus("explain")
    assert code == 0
    for words in ("dataset wine@1 as 'train'", "notebook train.ipynb at", "allow:", "─▶ model.bin", "CPython 3.11.7"):
        assert words in out
    run = json.loads(animus("runs", "--json")[1])[0]["run_id"]
    assert animus("artifacts", "get", run, "model.bin", "--to", str(tmp_path / "m"))[0] == 0
    assert (tmp_path / "m").read_bytes() == b"model"
    assert "file_exists" in animus("artifacts", "get", run, "model.bin", "--to", str(tmp_path / "m"))[2]
    code, out, _ = animus("logs")
    assert (code, out) == (0, "hello\nhello\n")
    assert "accuracy" in animus("metrics")[1]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["run", "missing.ipynb"], 2, "notebook_not_found: "),
        (["run", "train.ipynb", "-p", "depth=deep"], 2, "parameter_invalid: depth must be of type integer, not str"),
        (["run", "train.ipynb", "-p", "width=3"], 2, "the notebook declares no parameter 'width'"),
        (["run", "train.ipynb", "--dataset", "wine"], 3, "animus: "),
        (["run", "train.ipynb", "--env", "none"], 3, "environment_lock_not_found: environment 'none' has no lock"),
        (["run", "train.ipynb", "--project", "foreign"], 3, "Asked for: project 'foreign'."),
        (["runs", "--state", "sleeping"], 2, "usage: "),
        (["dance"], 2, "usage: "),
        (["project", "create", "Not A Slug"], 3, "animus: "),
        (["member", "remove", "nobody"], 3, "not_found: user 'nobody' has no role"),
        (["artifacts", "get", "0198", "x"], 3, "run '0198'"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_mistake_is_one_line_with_a_code_and_submits_nothing(
    animus: Animus, desk: Client, words: list[str], code: int, said: str
) -> None:
    ended, out, err = animus(*words)
    assert (ended, out, err.count("\n")) == (code, "", 1), err
    assert err.startswith("animus: ")
    assert said in err
    assert list(desk.runs.list()) == []


def test_nobody_listening_is_exit_code_four(animus: Animus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("animus.transport.ATTEMPTS", 1)
    monkeypatch.setenv("ANIMUS_URL", "http://127.0.0.1:9")
    code, _, err = animus("whoami")
    assert code == 4
    assert "unreachable" in err
    assert "Repeating the command is safe" in err


def test_a_viewer_may_look_but_not_submit(animus: Animus, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "vic")
    assert animus("runs")[0] == 0
    code, _, err = animus("run", "train.ipynb")
    assert code == 3
    assert "forbidden" in err


def test_a_production_run_of_uncommitted_code_is_refused_with_the_way_out(animus: Animus, checkout: Path) -> None:
    write_notebook(checkout / "train.ipynb", code="print(depth + 1)")
    code, _, err = animus("run", "train.ipynb", "--class", "production")
    assert code == 2
    assert 'dirty_worktree: train.ipynb differs from the commit — commit it first: add --commit "what changed"' in err


def test_a_production_snapshot_is_refused_by_policy(animus: Animus, checkout: Path) -> None:
    write_notebook(checkout / "train.ipynb", code="print(depth + 1)")
    code, _, err = animus("run", "train.ipynb", "--class", "production", "--snapshot", "--seed", "1")
    assert code == 3
    assert "policy_denied" in err


def test_a_development_run_of_uncommitted_code_says_so_and_records_it(
    animus: Animus, desk: Client, checkout: Path
) -> None:
    write_notebook(checkout / "train.ipynb", code="print(depth + 1)")
    code, _, err = animus("run", "train.ipynb")
    assert code == 0
    assert "note: train.ipynb differs from the commit; this run uses a snapshot" in err
    run = next(desk.runs.list())
    assert "dirty_worktree" in run.limitations
    assert run_git(checkout, "rev-parse", "HEAD") != run.code.commit
    desk.runs.cancel(run.run_id)


def test_commit_makes_the_run_clean_and_pushes(animus: Animus, desk: Client, checkout: Path) -> None:
    write_notebook(checkout / "train.ipynb", code="print(depth + 1)")
    code, _, err = animus("run", "train.ipynb", "--commit", "deeper")
    assert (code, err) == (0, "")
    run = next(desk.runs.list())
    assert "dirty_worktree" not in run.limitations
    assert run.code.commit == run_git(checkout, "ls-remote", "origin", "refs/heads/main").split()[0]
    desk.runs.cancel(run.run_id)


def test_environments_are_defined_locked_and_listed(animus: Animus, tmp_path: Path) -> None:
    (tmp_path / "requirements.in").write_text("# what\nipykernel  # kernel\n\nnumpy\n")
    (tmp_path / "locked.txt").write_text(LOCKED)
    assert animus("env", "define", "other", "-r", str(tmp_path / "requirements.in"))[0] == 0
    assert animus("env", "lock", "other", "--file", str(tmp_path / "locked.txt"))[0] == 0
    assert "ipykernel, numpy" in animus("env", "list")[1]
    assert "which_environment" in animus("run", "train.ipynb")[2]


def test_the_audit_log_is_listed_and_its_chain_verified(animus: Animus, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "rbac.role_binding_stored" in animus("audit", "list")[1]
    assert animus("audit", "verify")[0] == 3  # the whole log is the platform administrator's
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "root")
    code, out, _ = animus("audit", "verify")
    assert code == 0
    assert "holds together" in out


def test_help_is_shown_and_is_no_error(animus: Animus) -> None:
    code, out, err = animus("run", "--help")
    assert (code, err) == (0, "")
    assert "--dataset" in out


@pytest.mark.parametrize("name", ["up", "demo"])
def test_starting_a_hub_hands_everything_over_to_the_hubs_own_program(
    animus: Animus, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    became: list[list[str]] = []

    def become(_: str, command: list[str]) -> None:
        became.append(command)
        raise SystemExit(0)

    monkeypatch.setattr("os.execv", become)
    with pytest.raises(SystemExit):
        animus(name, "--data", "folder", "--port", "8000", "--help")
    assert became == [[sys.executable, "-m", "animus_hub", name, "--data", "folder", "--port", "8000", "--help"]]
