# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Git as the client uses it: what counts as a difference, what a snapshot touches, what an address gives away."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from animus import git
from animus.errors import UsageError
from tests.unit.client.conftest import run_git, write_notebook


def state_of(checkout: Path) -> tuple[str, str, str]:
    return (
        run_git(checkout, "rev-parse", "HEAD"),
        run_git(checkout, "status", "--porcelain"),
        run_git(checkout, "ls-files", "--stage"),
    )


def test_a_clean_notebook_stands_at_the_commit_that_is_checked_out(checkout: Path) -> None:
    place = git.look(checkout / "train.ipynb")
    assert place == git.Worktree(
        root=checkout, path="train.ipynb", head=run_git(checkout, "rev-parse", "HEAD"), branch="main", remote="origin",
        repository=(checkout.parent / "remote.git").as_uri(), changed=(), untracked=(), published=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("change", "is_dirty"),
    [
        (lambda cell: cell.update(outputs=[{"output_type": "stream", "name": "stdout", "text": "3"}]), False),
        (lambda cell: cell.update(execution_count=7), False),
        (lambda cell: cell["metadata"].update(collapsed=True), False),
        (lambda cell: cell.update(source=["print(", "depth)"]), False),
        (lambda cell: cell.update(source="print(depth)\n"), True),
        (lambda cell: cell["metadata"].update(tags=["parameters"]), True),
        (lambda cell: cell.update(cell_type="raw"), True),
    ],
    ids=["outputs", "count", "collapsed", "same source in pieces", "source", "tags", "type"],
)
def test_only_what_would_be_executed_makes_a_notebook_differ(checkout: Path, change: object, is_dirty: bool) -> None:
    notebook = json.loads((checkout / "train.ipynb").read_text())
    assert callable(change)
    change(notebook["cells"][1])
    (checkout / "train.ipynb").write_text(json.dumps(notebook, indent=2))
    assert git.look(checkout / "train.ipynb").changed == (("train.ipynb",) if is_dirty else ())


def test_a_snapshot_has_the_changes_and_leaves_branch_index_and_files_alone(checkout: Path) -> None:
    (checkout / "module.py").write_text("x = 1\n")
    run_git(checkout, "add", "module.py")
    run_git(checkout, "commit", "-q", "-m", "second")
    (checkout / "module.py").write_text("x = 2\n")
    (checkout / "staged.py").write_text("y = 1\n")
    run_git(checkout, "add", "staged.py")
    (checkout / "secret.env").write_text("not in git\n")
    write_notebook(checkout / "train.ipynb", code="print(x)")
    before = state_of(checkout)
    place = git.look(checkout / "train.ipynb")
    made = git.snapshot(place)
    assert state_of(checkout) == before
    assert run_git(checkout, "show", f"{made}:module.py") == "x = 2"
    assert "print(x)" in git.read_at(place, made).decode()
    assert "secret.env" not in run_git(checkout, "ls-tree", "--name-only", made).splitlines()
    assert run_git(checkout, "ls-remote", "origin", f"refs/animus/snapshots/{made}").startswith(made)


def test_the_same_content_is_the_same_snapshot(checkout: Path) -> None:
    write_notebook(checkout / "train.ipynb", code="print(1)")
    place = git.look(checkout / "train.ipynb")
    first = git.snapshot(place)
    assert git.snapshot(place) == first
    write_notebook(checkout / "train.ipynb", code="print(2)")
    assert git.snapshot(git.look(checkout / "train.ipynb")) != first


def test_an_untracked_notebook_is_dirty_and_its_snapshot_has_it(checkout: Path) -> None:
    (checkout / "sub").mkdir()
    write_notebook(checkout / "sub" / "new.ipynb")
    (checkout / "sub" / "helper.py").touch()
    place = git.look(checkout / "sub" / "new.ipynb")
    assert (place.changed, place.untracked) == (("sub/new.ipynb",), ("sub/helper.py",))
    assert git.read_at(place, git.snapshot(place))
    with pytest.raises(UsageError, match="notebook_not_committed"):
        git.read_at(place, place.head)


def test_commit_takes_the_notebook_and_nothing_else(checkout: Path) -> None:
    (checkout / "other.py").write_text("x = 1\n")
    run_git(checkout, "add", "other.py")
    write_notebook(checkout / "train.ipynb", code="print(2)")
    git.commit(git.look(checkout / "train.ipynb"), "deeper")
    assert run_git(checkout, "show", "--name-only", "--format=%s", "HEAD").split() == ["deeper", "train.ipynb"]
    assert run_git(checkout, "diff", "--cached", "--name-only") == "other.py"


def test_an_unpushed_commit_is_known_as_such_until_it_is_pushed(checkout: Path) -> None:
    run_git(checkout, "commit", "-q", "--allow-empty", "-m", "later")
    place = git.look(checkout / "train.ipynb")
    assert not place.published
    git.push(place)
    assert git.look(checkout / "train.ipynb").published


def test_without_a_remote_runs_fetch_from_the_repository_itself(checkout: Path) -> None:
    run_git(checkout, "remote", "remove", "origin")
    place = git.look(checkout / "train.ipynb")
    assert (place.repository, place.remote, place.published) == (checkout.as_uri(), "", True)
    write_notebook(checkout / "train.ipynb", code="print(2)")
    made = git.snapshot(git.look(checkout / "train.ipynb"))
    assert run_git(checkout, "rev-parse", f"refs/animus/snapshots/{made}") == made


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://ann:secret@git.example.org/r.git", "https://git.example.org/r.git"),
        ("https://token@git.example.org:8443/r.git?x=secret#y", "https://git.example.org:8443/r.git"),
        ("ssh://git:secret@git.example.org/r.git", "ssh://git@git.example.org/r.git"),
        ("git@git.example.org:team/r.git", "ssh://git@git.example.org/team/r.git"),
        ("git.example.org:/srv/r.git", "ssh://git.example.org/srv/r.git"),
        ("file:///srv/r.git", "file:///srv/r.git"),
        ("/srv/r.git", "file:///srv/r.git"),
    ],
)
def test_an_address_is_told_without_credentials(url: str, told: str) -> None:
    assert git.public_url(url) == told


def test_what_git_complains_about_is_told_without_credentials(checkout: Path) -> None:
    run_git(checkout, "remote", "set-url", "origin", "http://ann:secret@127.0.0.1:9/r.git")
    run_git(checkout, "commit", "-q", "--allow-empty", "-m", "later")
    with pytest.raises(UsageError, match="git_failed") as caught:
        git.push(git.look(checkout / "train.ipynb"))
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda folder: folder / "missing.ipynb", "notebook_not_found"),
        (lambda folder: write_notebook(folder / "loose.ipynb"), "no_repository"),
    ],
)
def test_a_notebook_without_history_is_refused_with_the_way_out(tmp_path: Path, make: object, code: str) -> None:
    assert callable(make)
    with pytest.raises(UsageError) as caught:
        git.look(make(tmp_path))
    assert (caught.value.code, bool(caught.value.remedy)) == (code, True)


def test_a_repository_without_commit_is_refused(tmp_path: Path) -> None:
    run_git(tmp_path, "init", "-q")
    with pytest.raises(UsageError, match="no_commit"):
        git.look(write_notebook(tmp_path / "n.ipynb"))


def test_a_hostile_notebook_name_is_a_name_and_no_option(checkout: Path) -> None:
    for name in ("--upload-pack=touch pwned.ipynb", "a b;c.ipynb", "ü\n.ipynb"):
        write_notebook(checkout / name)
        place = git.look(checkout / name)
        assert git.read_at(place, git.snapshot(place))
        git.commit(place, "hostile")
        assert git.look(checkout / name).changed == ()
    assert not list(checkout.glob("pwned*"))
