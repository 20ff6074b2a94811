# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A workspace prepares its own home and then becomes the Jupyter server.

It runs as the user: what it writes, the user may change, and what is there already is left alone. A project's first
workspace also makes the project's repository with the examples in it.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

PACKAGE = Path(__file__).parent
EXAMPLES = PACKAGE / "examples"
SERVER_CONFIG = PACKAGE / "workspace_config"

IPYTHON_CONFIG = """\
# Written when the workspace was made; yours to change.
c.InteractiveShellApp.extensions.append("animus")
"""
GIT_CONFIG = """\
[user]
\tname = {user}
\temail = {user}@localhost
[init]
\tdefaultBranch = main
[push]
\tdefault = simple
"""
GIT_SECONDS = 60


def main() -> None:
    """Prepare the home folder of ``ANIMUS_PROJECT``, then run ``jupyterhub-singleuser`` in this process's place."""
    environment = dict(os.environ)
    home, project = Path(environment["HOME"]), environment["ANIMUS_PROJECT"]
    repository = Path(environment["ANIMUS_REPOSITORIES"]) / f"{project}.git"
    prepare_home(home, user=environment["JUPYTERHUB_USER"])
    ensure_repository(repository, home)
    checkout = ensure_checkout(repository, home, project)
    os.chdir(checkout)
    command = [sys.executable, "-m", "jupyterhub.singleuser", *server_options(home, checkout), *sys.argv[1:]]
    os.execve(sys.executable, command, server_environment(environment))  # noqa: S606 - no shell, fixed program


def prepare_home(home: Path, *, user: str) -> None:
    """Write the first configuration of git and IPython into a home folder."""
    home.mkdir(parents=True, exist_ok=True)
    _write_once(home / ".gitconfig", GIT_CONFIG.format(user=user))
    _write_once(home / ".ipython" / "profile_default" / "ipython_config.py", IPYTHON_CONFIG)


def ensure_repository(repository: Path, home: Path) -> None:
    """Make the project's bare repository with the examples as its first commit, unless it is there.

    Args:
        repository: Path of the bare repository.
        home: Home folder whose git configuration names the author.

    Raises:
        subprocess.CalledProcessError: If git fails.
    """
    if repository.exists():
        return
    repository.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=repository.parent, prefix=".new-") as scratch:
        work, bare = Path(scratch) / "work", Path(scratch) / "bare.git"
        shutil.copytree(EXAMPLES, work, ignore=shutil.ignore_patterns("__pycache__", ".ipynb_checkpoints"))
        _git(home, "init", "--quiet", "--initial-branch=main", str(work))
        _git(home, "-C", str(work), "add", ".")
        _git(home, "-C", str(work), "commit", "--quiet", "--message", "Start with the examples")
        _git(home, "clone", "--quiet", "--bare", str(work), str(bare))
        _git(home, "-C", str(bare), "remote", "remove", "origin")
        try:
            bare.rename(repository)
        except OSError:
            # Another member's workspace made it in the meantime; theirs is as good.
            if not repository.exists():
                raise


def ensure_checkout(repository: Path, home: Path, project: str) -> Path:
    """Check the project's repository out into the home folder, unless something is there already.

    Returns:
        The folder of the checkout.
    """
    checkout = home / project
    if not checkout.exists():
        _git(home, "clone", "--quiet", repository.as_uri(), str(checkout))
    return checkout


def server_options(home: Path, checkout: Path) -> list[str]:
    """Build the options of the Jupyter server that keep a workspace to itself."""
    return [
        f"--ServerApp.root_dir={home}",
        f"--ServerApp.preferred_dir={checkout}",
        "--KernelManager.transport=ipc",
        "--LabApp.extension_manager=readonly",
        "--LabApp.news_url=",
        "--LabApp.check_for_updates_class=jupyterlab.NeverCheckForUpdate",
    ]


def server_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """Build the environment of the Jupyter server; the programs beside it, such as ``animus``, are found by name."""
    programs = str(Path(sys.executable).parent)
    return {
        **environment,
        "PATH": os.pathsep.join([programs, environment.get("PATH", os.defpath)]),
        "JUPYTER_RUNTIME_DIR": str(ensure_runtime_folder(Path(environment["HOME"]))),
        "JUPYTER_CONFIG_PATH": str(SERVER_CONFIG),
        "JUPYTER_PREFER_ENV_PATH": "1",
    }


def ensure_runtime_folder(home: Path) -> Path:
    """Make the folder for kernels' sockets, which is outside of the home because a socket's path has 107 bytes at most.

    Raises:
        PermissionError: If somebody else has made a folder of this name, or let others into it.
    """
    name = hashlib.sha256(str(home).encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"animus-{os.getuid()}-{name}"
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise PermissionError(f"{folder} is not a folder of this user alone; remove it")
    return folder


def _write_once(path: Path, text: str) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def _git(home: Path, *arguments: str) -> None:
    # Nothing but the workspace's own settings counts, and git must never wait for somebody to type.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }
    subprocess.run(["git", *arguments], env=environment, check=True, timeout=GIT_SECONDS, stdin=subprocess.DEVNULL)  # noqa: S603, S607 - a fixed program, arguments are paths of ours


if __name__ == "__main__":
    main()
