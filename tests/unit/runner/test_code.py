# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Code arrives exactly as committed, or not at all; hostile repositories change nothing outside their folder."""

from __future__ import annotations

import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from animus_contracts.runs import CodeRef, FailureReason
from animus_runner.code import ENVIRONMENT, FetchLimits, check_out, verify_repository
from animus_runner.exits import FailedError
from animus_runner.git_objects import Checkout, GitObjects, MissingObjectError
from tests.fakes.git_repository import GitRepository

LIMITS = FetchLimits(seconds=20.0, mebibytes=64)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "source")


def checked_out(repository: GitRepository, commit: str, into: Path, **limits: float) -> Checkout:
    code = CodeRef(repository=repository.url, commit=commit, path="train.ipynb")
    found = FetchLimits(seconds=limits.get("seconds", 20.0), mebibytes=int(limits.get("mebibytes", 64)))
    return check_out(code, into / "checkout", into / "cache", [f"file://{repository.folder.parent}/"], found)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_files_of_exactly_that_commit_are_written_and_read_only(repository: GitRepository, tmp_path: Path) -> None:
    first = repository.commit({"train.ipynb": "{}", "lib/a.py": "a = 1\n"})
    repository.commit({"train.ipynb": "later"})
    checkout = checked_out(repository, first, tmp_path / "run")
    assert files_below(checkout.folder) == {"train.ipynb": b"{}", "lib/a.py": b"a = 1\n"}
    assert checkout.tree == repository.git("rev-parse", f"{first}^{{tree}}")
    assert {path.stat().st_mode & 0o222 for path in [checkout.folder, *checkout.folder.rglob("*")]} == {0}


@pytest.fixture(autouse=True)
def run_folder(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()


def test_a_commit_that_is_cached_needs_no_repository(repository: GitRepository, tmp_path: Path) -> None:
    commit = repository.commit({"train.ipynb": "{}"})
    checked_out(repository, commit, tmp_path / "run")
    (repository.folder / ".git").rename(repository.folder / "gone")
    code = CodeRef(repository=repository.url, commit=commit, path="train.ipynb")
    again = check_out(code, tmp_path / "again", tmp_path / "run" / "cache", [repository.url], LIMITS)
    assert files_below(again.folder) == {"train.ipynb": b"{}"}


def test_a_commit_beside_the_cached_one_is_fetched_as_well(repository: GitRepository, tmp_path: Path) -> None:
    commits = [repository.commit({"train.ipynb": text}) for text in ("one", "two")]
    for commit in commits:
        code = CodeRef(repository=repository.url, commit=commit, path="train.ipynb")
        check_out(code, tmp_path / commit, tmp_path / "cache", [repository.url], LIMITS)
    assert [(tmp_path / commit / "train.ipynb").read_text() for commit in commits] == ["one", "two"]


def test_an_unreachable_commit_is_an_input_failure_with_a_remedy(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"train.ipynb": "{}"})
    with pytest.raises(FailedError) as caught:
        checked_out(repository, "0" * 39 + "1", tmp_path / "run")
    assert caught.value.failure.reason is FailureReason.INPUT
    assert "is not in file://" in caught.value.failure.summary
    assert "Push the commit" in caught.value.failure.remedy


@pytest.mark.parametrize("name", ["main", "HEAD", "--upload-pack=touch /tmp/x", "0" * 39, "A" * 40, "0" * 40 + "\n"])
def test_what_is_no_full_commit_id_is_refused(repository: GitRepository, tmp_path: Path, name: str) -> None:
    repository.commit({"train.ipynb": "{}"})
    with pytest.raises(FailedError, match="not a full commit id"):
        checked_out(repository, name, tmp_path / "run")


def test_a_tag_or_tree_is_not_taken_for_a_commit(repository: GitRepository, tmp_path: Path) -> None:
    commit = repository.commit({"train.ipynb": "{}"})
    tree = repository.git("rev-parse", f"{commit}^{{tree}}")
    with pytest.raises(FailedError, match="is not in"):
        checked_out(repository, tree, tmp_path / "run")


ALLOWED = ["https://git.example.org/team/", "file:///srv/code"]
URLS = {
    "https://git.example.org/team/project": True,
    "https://git.example.org/team/project.git": True,
    "https://git.example.org/team": True,
    "https://git.example.org/teammate/project": False,
    "https://git.example.org/team/../other": False,
    "https://git.example.org/team/%2e%2e/other": False,
    "https://git.example.org/team/%0d%0aHost:x": False,
    "https://git.example.org:443/team/project": False,
    "https://ann:secret@git.example.org/team/project": False,
    "https://git.example.org/team/project?x=1": False,
    "https://git.example.org/team/project\n": False,
    "https://git.example.org.evil.example/team/project": False,
    "http://git.example.org/team/project": False,
    "HTTPS://git.example.org/team/project": False,
    "file:///srv/code": True,
    "file:///srv/code/project": True,
    "file:///srv/codex": False,
    "file:///srv/code/../secrets": False,
    "file:///srv/code/./x": False,
    "file://host/srv/code": False,
    "/srv/code": False,
    "ext::sh -c touch% /tmp/x": False,
    "fd::7": False,
    "ssh://git@git.example.org/team/project": False,
    "git@git.example.org:team/project": False,
    "-oProxyCommand=touch /tmp/x": False,
    "--upload-pack=touch /tmp/x": False,
    "https://-oProxyCommand=x/team/": False,
    "": False,
}


@pytest.mark.parametrize(("url", "is_allowed"), URLS.items())
def test_only_urls_below_an_allowed_prefix_are_fetched(url: str, is_allowed: bool) -> None:
    if is_allowed:
        assert verify_repository(url, ALLOWED) == url.split(":", maxsplit=1)[0]
    else:
        with pytest.raises(FailedError, match="may not be fetched"):
            verify_repository(url, ALLOWED)


@pytest.mark.parametrize("allowed", [[], [""], ["https://"], ["https:"], ["file://"], ["file:///"], ["/"]])
def test_an_empty_prefix_allows_nothing(allowed: list[str]) -> None:
    for url in ("https://git.example.org/team/project", "file:///srv/code/project"):
        with pytest.raises(FailedError, match="may not be fetched"):
            verify_repository(url, allowed)


def test_a_link_out_of_an_allowed_folder_is_refused(repository: GitRepository, tmp_path: Path) -> None:
    repository.commit({"train.ipynb": "{}"})
    (tmp_path / "allowed").mkdir()
    (tmp_path / "allowed" / "link").symlink_to(repository.folder)
    with pytest.raises(FailedError, match="may not be fetched"):
        verify_repository(f"file://{tmp_path}/allowed/link", [f"file://{tmp_path}/allowed/"])


def test_a_symbolic_link_becomes_a_file_that_holds_its_target(repository: GitRepository, tmp_path: Path) -> None:
    (repository.folder / "passwd").symlink_to("/etc/passwd")
    repository.git("add", "passwd")
    checkout = checked_out(repository, repository.commit({"train.ipynb": "{}"}), tmp_path / "run")
    assert not (checkout.folder / "passwd").is_symlink()
    assert (checkout.folder / "passwd").read_text() == "/etc/passwd"
    assert checkout.links == ["passwd"]


def test_submodules_and_hooks_of_a_repository_never_act(repository: GitRepository, tmp_path: Path) -> None:
    canary = tmp_path / "canary"
    hook = repository.folder / ".git" / "hooks" / "post-checkout"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\ntouch {canary}\n")
    hook.chmod(0o755)
    head = repository.commit(
        {
            "train.ipynb": "{}",
            ".gitmodules": f'[submodule "x"]\npath = x\nurl = ext::sh -c "touch {canary}"\n',
            ".gitattributes": "*.ipynb filter=evil\n",
            ".lfsconfig": "[lfs]\nurl = http://169.254.169.254/\n",
        }
    )
    repository.git("update-index", "--add", "--cacheinfo", f"160000,{head},x")
    repository.git("config", "filter.evil.smudge", f"touch {canary}")
    commit = repository.commit({"a": "b"})
    checkout = checked_out(repository, commit, tmp_path / "run")
    assert checkout.submodules == ["x"]
    assert not canary.exists()


@pytest.mark.parametrize("name", [b"..", b".git", b".GIT", b"a/b", b"a\rb", b"a\nb", b"back\\slash", b".", b"x" * 300])
def test_a_tree_with_a_hostile_name_is_refused(repository: GitRepository, tmp_path: Path, name: bytes) -> None:
    commit = repository.commit_tree([("100644", name, repository.blob(b"content"))])
    with pytest.raises(FailedError) as caught:
        checked_out(repository, commit, tmp_path / "run")
    assert caught.value.failure.reason is FailureReason.INPUT
    assert not (tmp_path / "content").exists()


def test_a_name_that_is_there_twice_is_refused(repository: GitRepository, tmp_path: Path) -> None:
    blob = repository.blob(b"content")
    commit = repository.commit_tree([("120000", b"x", blob), ("100644", b"x", blob)])
    with pytest.raises(FailedError):
        checked_out(repository, commit, tmp_path / "run")


def test_a_fetch_larger_than_the_limit_is_refused(repository: GitRepository, tmp_path: Path) -> None:
    import random  # noqa: PLC0415 - one test needs incompressible bytes

    commit = repository.commit({"train.ipynb": "{}", "big": random.Random(1).randbytes(3 << 20)})
    with pytest.raises(FailedError, match="is not in"):
        checked_out(repository, commit, tmp_path / "run", mebibytes=1)
    assert files_below(checked_out(repository, commit, tmp_path / "run").folder).keys() == {"train.ipynb", "big"}


def test_a_cache_that_grew_beyond_a_fetch_is_begun_again(repository: GitRepository, tmp_path: Path) -> None:
    import random  # noqa: PLC0415 - one test needs incompressible bytes

    for name in ("one", "two", "three"):
        commit = repository.commit({"train.ipynb": name, "big": random.Random(name).randbytes(700_000)})
        code = CodeRef(repository=repository.url, commit=commit, path="train.ipynb")
        limits = FetchLimits(seconds=20.0, mebibytes=1)
        check_out(code, tmp_path / name, tmp_path / "cache", [repository.url], limits)
    held = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*.pack"))
    assert 700_000 <= held < 1_500_000


def test_a_broken_cache_is_fetched_again(repository: GitRepository, tmp_path: Path) -> None:
    commit = repository.commit({"train.ipynb": "{}", "z.py": "z = 1"})
    checked_out(repository, commit, tmp_path / "run")
    [bare] = (tmp_path / "run" / "cache").glob("*.git")
    pack = next(bare.rglob("*.pack"))
    loose = GitRepository(tmp_path / "loose").folder / ".git"
    subprocess.run(["git", "--git-dir", loose, "unpack-objects", "-q"], input=pack.read_bytes(), check=True)
    shutil.rmtree(pack.parent)
    shutil.copytree(loose / "objects", bare / "objects", dirs_exist_ok=True)
    blob = repository.git("rev-parse", f"{commit}:z.py")
    (bare / "objects" / blob[:2] / blob[2:]).unlink()
    code = CodeRef(repository=repository.url, commit=commit, path="train.ipynb")
    again = check_out(code, tmp_path / "again", tmp_path / "run" / "cache", [repository.url], LIMITS)
    assert files_below(again.folder) == {"train.ipynb": b"{}", "z.py": b"z = 1"}


def test_runs_that_fetch_side_by_side_into_an_empty_cache_all_get_their_commit(
    repository: GitRepository, tmp_path: Path
) -> None:
    commits = [repository.commit({"train.ipynb": str(number)}) for number in range(4)]

    def run(place: tuple[int, int]) -> dict[str, bytes]:
        trial, number = place
        code = CodeRef(repository=repository.url, commit=commits[number], path="train.ipynb")
        destination = tmp_path / f"{trial}-{number}"
        return files_below(check_out(code, destination, tmp_path / f"c{trial}", [repository.url], LIMITS).folder)

    places = [(trial, number) for trial in range(6) for number in range(4)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(run, places)) == [{"train.ipynb": str(number).encode()} for _, number in places]


def test_what_is_no_repository_has_no_objects_even_after_git_has_ended(tmp_path: Path) -> None:
    with GitObjects(tmp_path, ENVIRONMENT) as objects:
        objects._process.wait(10)  # the moment at which writing to it would raise
        with pytest.raises(MissingObjectError):
            objects.read("0" * 40, "commit")


def test_what_a_killed_predecessor_left_in_the_cache_holds_up_nobody(repository: GitRepository, tmp_path: Path) -> None:
    checked_out(repository, repository.commit({"train.ipynb": "1"}), tmp_path / "run")
    [bare] = (tmp_path / "run" / "cache").glob("*.git")
    (bare / "shallow.lock").touch()
    (bare.with_suffix(".new") / "objects").mkdir(parents=True)
    code = CodeRef(repository=repository.url, commit=repository.commit({"train.ipynb": "2"}), path="train.ipynb")
    again = check_out(code, tmp_path / "again", tmp_path / "run" / "cache", [repository.url], LIMITS)
    assert files_below(again.folder) == {"train.ipynb": b"2"}
