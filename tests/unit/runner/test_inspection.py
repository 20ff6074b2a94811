# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A notebook is looked at where it is, by the name people use for it; nothing of it runs."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus_contracts.decoding import decode_json
from animus_contracts.inspections import InspectionRequest, NotebookFindings
from animus_contracts.runs import FailureReason
from animus_runner.code import FetchLimits
from animus_runner.exits import FailedError
from animus_runner.inspection import inspect
from animus_runner.refs import resolve
from tests.fakes.git_repository import GitRepository

LIMITS = FetchLimits(seconds=20, mebibytes=64)


@dataclass(slots=True)
class Site:
    """A repository and the executor's folders."""

    repository: GitRepository
    folder: Path

    @property
    def allowed(self) -> list[str]:
        return [f"file://{self.repository.folder.parent}/"]

    def commit(self, *cells: str, tags: tuple[str, ...] = ()) -> str:
        made = [new_code_cell(source, metadata={"tags": list(tags)} if not index else {})
                for index, source in enumerate(cells)]  # fmt: skip
        return self.repository.commit({"work.ipynb": nbformat.writes(new_notebook(cells=made))})

    def request(self, ref: str, path: str = "work.ipynb") -> InspectionRequest:
        return InspectionRequest(
            repository=self.repository.url, ref=ref, path=path, repositories=self.allowed,
            cache_folder=str(self.folder / "cache"), folder=str(self.folder / "task"), fetch_seconds=20, fetch_mib=64,
        )  # fmt: skip

    def resolve(self, ref: str) -> str:
        return resolve(self.repository.url, ref, self.allowed, LIMITS)


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "task").mkdir()
    return Site(GitRepository(tmp_path / "repositories" / "work"), tmp_path)


def problem_of(found: NotebookFindings) -> str:
    assert found.problem is not None
    assert found.problem.reason is FailureReason.INPUT
    return found.problem.summary


def test_parameters_and_hidden_state_are_found_and_nothing_is_executed(site: Site) -> None:
    mark = site.folder / "executed"
    commit = site.commit(
        "depth: int = 3", f"open({str(mark)!r}, 'w')", "print(frame)", "frame = 1", tags=("parameters",)
    )

    found = inspect(site.request("main"))

    assert (found.commit, found.problem, found.has_parameters_cell) == (commit, None, True)
    assert [parameter.name for parameter in found.parameters] == ["depth"]
    assert [(name.name, name.cell_index, name.defined_in) for name in found.undefined_names] == [("frame", 2, 3)]
    assert not mark.exists()


def test_the_process_answers_on_its_standard_output(site: Site) -> None:
    commit = site.commit("print(1)")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "animus_runner.inspection"],
        input=msgspec.json.encode(site.request(commit)), capture_output=True, check=True,
    )  # fmt: skip
    assert decode_json(done.stdout, NotebookFindings).commit == commit


def test_a_branch_wins_over_a_tag_and_an_annotated_tag_means_its_commit(site: Site) -> None:
    first = site.commit("print(1)")
    site.repository.git("tag", "-a", "both", "-m", "first")
    site.repository.git("tag", "light")
    second = site.commit("print(2)")
    site.repository.git("branch", "both")

    assert [site.resolve(ref) for ref in ("both", "light", "main", first)] == [second, first, second, first]
    site.repository.git("branch", "-D", "both")
    assert site.resolve("both") == first


@pytest.mark.parametrize("ref", ["mai", "heads/main", "nowhere", "--upload-pack=touch x", "main^{}", ""])
def test_a_name_that_is_no_branch_and_no_tag_is_not_guessed_at(site: Site, ref: str) -> None:
    site.commit("print(1)")
    with pytest.raises(FailedError, match="branch"):
        site.resolve(ref)


def test_a_repository_that_is_not_allowed_is_not_asked(site: Site) -> None:
    site.commit("print(1)")
    with pytest.raises(FailedError, match="may not be fetched"):
        resolve(site.repository.url, "main", ["file:///elsewhere/"], LIMITS)


def test_a_repository_that_is_not_there_is_told_in_words(site: Site) -> None:
    url = f"file://{site.repository.folder.parent}/nowhere"
    with pytest.raises(FailedError, match="cannot be reached"):
        resolve(url, "main", site.allowed, LIMITS)


def test_a_commit_that_is_not_there_has_no_tree(site: Site) -> None:
    site.commit("print(1)")
    found = inspect(site.request("0a" * 20))
    assert (found.tree, "is not in" in problem_of(found)) == ("", True)


@pytest.mark.parametrize("path", ["other.ipynb", "../outside.ipynb", "link.ipynb"])
def test_a_notebook_that_is_not_in_the_commit_is_a_problem_of_the_notebook(site: Site, path: str) -> None:
    (site.repository.folder.parent / "outside.ipynb").write_text('{"cells": []}')
    (site.repository.folder / "link.ipynb").symlink_to("work.ipynb")
    site.repository.git("add", "link.ipynb")
    commit = site.commit("print(1)")
    found = inspect(site.request(commit, path))
    assert problem_of(found) == f"The commit has no notebook {path!r}."
    assert found.tree


@pytest.mark.parametrize(
    ("text", "words"),
    [("{", "is not a notebook"), ('{"cells": 3}', "is not a notebook"), ("[" * 100_000, "is not a notebook")],
)
def test_a_file_that_is_no_notebook_is_a_problem_of_the_notebook(site: Site, text: str, words: str) -> None:
    commit = site.repository.commit({"work.ipynb": text})
    found = inspect(site.request(commit))
    assert words in problem_of(found)
    assert (found.commit, bool(found.tree)) == (commit, True)
