# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where a notebook stands in Git: repository, commit, what differs from it, and whether others can fetch it.

A run executes a commit, so outputs and execution counts saved in a notebook make no difference: notebooks are compared
by what they would execute. Snapshots never touch the branch, the index or the files. Credentials in a remote's URL stay
on this machine. Git runs without a shell, without prompts, and with paths behind ``--``.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from animus.errors import UsageError
from animus.notebooks import same_code

LOCAL_SECONDS = 30
REMOTE_SECONDS = 120
QUIET: Mapping[str, str] = {"GIT_TERMINAL_PROMPT": "0", "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
SNAPSHOTS = "refs/animus/snapshots"
SCP_LIKE = re.compile(r"(?P<user>[^@/:]+@)?(?P<host>[^/:]{2,}):(?P<path>(?!//).+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Worktree:
    """A notebook in a repository.

    Attributes:
        root: Top folder of the working tree.
        path: POSIX path of the notebook below it.
        head: Commit that is checked out, 40 hexadecimal characters.
        branch: Branch that is checked out, empty when none is.
        remote: Name of the remote that runs fetch from, empty when there is none.
        repository: URL that runs fetch from, without credentials; the repository itself when there is no remote.
        changed: Tracked files (and the notebook, tracked or not) whose code differs from the commit.
        untracked: Python files beside the notebook that Git does not know; a run will not have them.
        published: Whether the remote is known to have the commit.
    """

    root: Path
    path: str
    head: str
    branch: str
    remote: str
    repository: str
    changed: tuple[str, ...]
    untracked: tuple[str, ...]
    published: bool


def git(folder: Path, *arguments: str, seconds: float = LOCAL_SECONDS, variables: Mapping[str, str] = QUIET) -> str:
    """Run Git, with ``variables`` in its environment, and return what it wrote, without the last line's end.

    Raises:
        UsageError: If it fails; the message is Git's own last line.
    """
    environment = {**os.environ, **QUIET, **variables}
    command = ["git", "-C", str(folder), *arguments]
    try:
        done = subprocess.run(  # noqa: S603  # no shell; every argument is ours or stands behind --
            command, capture_output=True, check=True, timeout=seconds, env=environment, stdin=subprocess.DEVNULL
        )
    except FileNotFoundError as error:
        raise UsageError("no_git", "the git command is not installed", remedy="install git") from error
    except subprocess.TimeoutExpired as error:
        raise UsageError("git_failed", f"git {arguments[0]} did not end within {seconds:.0f} seconds") from error
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise UsageError("git_failed", f"git {arguments[0]}: {without_credentials(said[-1])}") from error
    return done.stdout.decode(errors="surrogateescape").removesuffix("\n")


def look(notebook: Path) -> Worktree:
    """Find out where a notebook stands.

    Raises:
        UsageError: If it does not exist, is in no repository, or the repository has no commit.
    """
    if not notebook.is_file():
        raise UsageError("notebook_not_found", f"there is no notebook {str(notebook)!r}", remedy="check the path")
    notebook = notebook.resolve()
    try:
        root = Path(git(notebook.parent, "rev-parse", "--show-toplevel"))
    except UsageError as error:
        if error.code == "no_git":
            raise
        remedy = "put it under version control: git init, git add, git commit"
        raise UsageError("no_repository", f"{notebook.name} is in no Git repository", remedy=remedy) from error
    try:
        head = git(root, "rev-parse", "--verify", "HEAD^{commit}")
    except UsageError as error:
        raise UsageError("no_commit", "the repository has no commit yet", remedy='--commit "first version"') from error
    remote = _remote(root)
    path = notebook.relative_to(root).as_posix()
    return Worktree(
        root=root,
        path=path,
        head=head,
        branch=git(root, "branch", "--show-current"),
        remote=remote,
        repository=public_url(git(root, "remote", "get-url", remote)) if remote else root.as_uri(),
        changed=_changed(root, path),
        untracked=_untracked(root, notebook.parent),
        published=not remote or bool(git(root, "branch", "--remotes", "--contains", head)),
    )


def read_at(worktree: Worktree, commit: str) -> bytes:
    """Return the notebook's bytes at a commit.

    Raises:
        UsageError: If the notebook is not part of the commit.
    """
    try:
        return git(worktree.root, "show", f"{commit}:{worktree.path}").encode(errors="surrogateescape")
    except UsageError as error:
        message = f"{worktree.path} is not part of commit {commit[:12]}"
        raise UsageError("notebook_not_committed", message, remedy='--commit "message"') from error


def commit(worktree: Worktree, message: str) -> None:
    """Commit the notebook, and only it, to the branch."""
    git(worktree.root, "add", "--", worktree.path)
    git(worktree.root, "commit", "-m", message, "--", worktree.path, variables=_author(worktree.root))


def push(worktree: Worktree) -> None:
    """Push the branch to the remote.

    Raises:
        UsageError: If no branch is checked out, or the remote refuses.
    """
    if not worktree.branch:
        raise UsageError("no_branch", "no branch is checked out", remedy="git switch BRANCH")
    target = f"HEAD:refs/heads/{worktree.branch}"
    git(worktree.root, "push", "--quiet", worktree.remote, target, seconds=REMOTE_SECONDS)


def snapshot(worktree: Worktree) -> str:
    """Publish the working tree as it is, as a commit on no branch, and return the commit's id.

    Tracked files and the notebook are in it. The same content on the same commit is the same snapshot: dates and
    author are taken from the commit.
    """
    root = worktree.root
    with tempfile.TemporaryDirectory(prefix="animus-") as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder) / "index")}
        git(root, "read-tree", worktree.head, variables=index)
        git(root, "add", "--update", "--", ".", variables=index)
        git(root, "add", "--force", "--", worktree.path, variables=index)
        tree = git(root, "write-tree", variables=index)
    when = git(root, "show", "--no-patch", "--format=%ct", worktree.head) + " +0000"
    person = _person("Animus snapshot", "snapshot@animus.invalid")
    dates = {"GIT_AUTHOR_DATE": when, "GIT_COMMITTER_DATE": when}
    made = git(root, "commit-tree", tree, "-p", worktree.head, "-m", "Animus snapshot", variables=person | dates)
    git(root, "update-ref", f"{SNAPSHOTS}/{made}", made)
    if worktree.remote:
        git(root, "push", "--quiet", worktree.remote, f"{made}:{SNAPSHOTS}/{made}", seconds=REMOTE_SECONDS)
    return made


def public_url(url: str) -> str:
    """Return a remote's URL as it may be told to others: absolute, and without user and password over http."""
    if "://" not in url:
        if match := SCP_LIKE.fullmatch(url):
            return f"ssh://{match['user'] or ''}{match['host']}/{match['path'].lstrip('/')}"
        return Path(url).resolve().as_uri()
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    user = parts.username if parts.scheme == "ssh" else None  # ssh needs to know whom; https must not tell
    return urlunsplit((parts.scheme, f"{user}@{host}" if user else host, parts.path, "", ""))


def without_credentials(text: str) -> str:
    """Mask user and password in every URL of a text."""
    return re.sub(r"(?<=://)[^/@\s]+@", "***@", text)


def _remote(root: Path) -> str:
    names = git(root, "remote").split()
    return "origin" if "origin" in names else (names or [""])[0]


def _author(root: Path) -> Mapping[str, str]:
    try:
        git(root, "config", "user.email")
    except UsageError:
        user = os.environ.get("JUPYTERHUB_USER") or os.environ.get("USER") or "animus"
        return _person(user, f"{user}@animus.invalid")
    return QUIET


def _person(name: str, email: str) -> dict[str, str]:
    return {
        f"GIT_{role}_{what}": value
        for role in ("AUTHOR", "COMMITTER")
        for what, value in (("NAME", name), ("EMAIL", email))
    }


def _changed(root: Path, path: str) -> tuple[str, ...]:
    names = set(filter(None, git(root, "diff", "--name-only", "-z", "HEAD", "--").split("\0")))
    if not git(root, "ls-files", "--", path):
        names.add(path)
    return tuple(sorted(name for name in names if not _is_same_notebook(root, name)))


def _is_same_notebook(root: Path, name: str) -> bool:
    file = root / name
    if file.suffix != ".ipynb" or not file.is_file():
        return False
    try:
        before = git(root, "show", f"HEAD:{name}")
    except UsageError:
        return False
    return same_code(before.encode(errors="surrogateescape"), file.read_bytes())


def _untracked(root: Path, folder: Path) -> tuple[str, ...]:
    names = git(root, "ls-files", "--others", "--exclude-standard", "-z", "--", str(folder)).split("\0")
    return tuple(sorted(name for name in names if name.endswith(".py")))
