# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A real git repository in a folder, made quickly; hostile trees are made object by object."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

ENVIRONMENT = {
    "GIT_AUTHOR_NAME": "Ann",
    "GIT_AUTHOR_EMAIL": "ann@example.org",
    "GIT_COMMITTER_NAME": "Ann",
    "GIT_COMMITTER_EMAIL": "ann@example.org",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "PATH": os.environ["PATH"],
}


class GitRepository:
    """A repository below a folder.

    Args:
        folder: The working copy; made when it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.git("init", "--quiet", "--initial-branch=main", ".")

    @property
    def url(self) -> str:
        """The repository's URL."""
        return f"file://{self.folder}"

    def git(self, *arguments: str, text: bytes = b"") -> str:
        """Run git in the working copy and return what it says."""
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env=ENVIRONMENT, input=text, check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def commit(self, files: dict[str, str | bytes]) -> str:
        """Commit files and return the commit's id."""
        for path, content in files.items():
            target = self.folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(content if isinstance(content, bytes) else content.encode())
            self.git("add", "--", path)
        self.git("commit", "--quiet", "--allow-empty", "-m", "work")
        return self.git("rev-parse", "HEAD")

    def commit_tree(self, entries: list[tuple[str, bytes, str]]) -> str:
        """Commit a tree of ``(mode, name, id)`` entries that git itself would refuse to make."""
        raw = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(child) for mode, name, child in entries)
        tree = self.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", text=raw)
        commit = self.git("commit-tree", tree, "-m", "hostile")
        self.git("update-ref", f"refs/heads/{commit[:8]}", commit)
        return commit

    def blob(self, content: bytes) -> str:
        """Store a blob and return its id."""
        return self.git("hash-object", "-w", "--stdin", text=content)
