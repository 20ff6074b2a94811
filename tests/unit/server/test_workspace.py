# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A workspace finds the examples of its project, keeps what its user changed, and hides its sockets."""

import json
import subprocess
from pathlib import Path

import pytest

from animus_server import workspace


@pytest.fixture(name="home")
def _home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    workspace.prepare_home(home, user="ed")
    return home


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


def test_a_project_starts_with_the_examples_committed(home: Path, tmp_path: Path) -> None:
    repository = tmp_path / "repositories" / "demo.git"
    workspace.ensure_repository(repository, home)
    checkout = workspace.ensure_checkout(repository, home, "demo")
    assert git(checkout, "status", "--porcelain") == ""
    assert git(checkout, "log", "--format=%an <%ae> %s") == "ed <ed@localhost> Start with the examples"
    assert git(checkout, "remote", "get-url", "origin") == repository.as_uri()
    assert {path.name for path in checkout.glob("*.ipynb")} == {
        path.name for path in workspace.EXAMPLES.glob("*.ipynb")
    }
    assert [path.name for path in repository.parent.iterdir()] == ["demo.git"]


def test_what_is_there_already_stays(home: Path, tmp_path: Path) -> None:
    repository = tmp_path / "demo.git"
    workspace.ensure_repository(repository, home)
    checkout = workspace.ensure_checkout(repository, home, "demo")
    head = git(repository, "rev-parse", "main")
    (checkout / "train.ipynb").write_text("mine")
    (home / ".gitconfig").write_text("[user]\n\tname = me\n")
    workspace.prepare_home(home, user="ed")
    workspace.ensure_repository(repository, home)
    workspace.ensure_checkout(repository, home, "demo")
    assert (checkout / "train.ipynb").read_text() == "mine"
    assert "me" in (home / ".gitconfig").read_text()
    assert git(repository, "rev-parse", "main") == head


def test_sockets_have_a_short_private_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = workspace.ensure_runtime_folder(home)
    assert folder == workspace.ensure_runtime_folder(home)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_runtime_folder_that_others_may_enter_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    workspace.ensure_runtime_folder(home).chmod(0o755)
    with pytest.raises(PermissionError):
        workspace.ensure_runtime_folder(home)


def test_a_link_in_the_place_of_the_runtime_folder_is_refused(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    folder = workspace.ensure_runtime_folder(home)
    folder.rmdir()
    folder.symlink_to(home)
    with pytest.raises(PermissionError):
        workspace.ensure_runtime_folder(home)


@pytest.mark.parametrize("path", sorted(workspace.EXAMPLES.glob("*.ipynb")), ids=lambda path: path.stem)
def test_an_example_is_clean_and_has_parameters_when_it_is_run(path: Path) -> None:
    cells = json.loads(path.read_text())["cells"]
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    has_parameters = any("parameters" in cell["metadata"].get("tags", []) for cell in cells)
    assert has_parameters is (path.stem != "first-session")
