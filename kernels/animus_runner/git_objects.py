# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Reads commits, trees and blobs of a bare repository through one ``git cat-file --batch``, and writes plain files.

Every path component is checked before anything is written: a tree can name nothing outside its folder, nothing that
git itself would act on, and nothing twice.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

FOLDER, EXECUTABLE, LINK, SUBMODULE = "40000", "100755", "120000", "160000"
MAX_DEPTH = 64
MAX_NAME = 255
MAX_FILES = 100_000
MAX_BYTES = 4 << 30


class MissingObjectError(Exception):
    """The repository does not have the object."""


class UnsafeTreeError(Exception):
    """The tree cannot be written out safely; the message says which entry."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkout:
    """What was written out.

    Attributes:
        folder: Where.
        tree: Git id of the commit's tree.
        submodules: Paths of submodules, which were left out.
        links: Paths of symbolic links, which became files holding their target.
    """

    folder: Path
    tree: str
    submodules: list[str]
    links: list[str]


class GitObjects:
    """The objects of one bare repository.

    Args:
        bare: Path of the repository.
        environment: Variables for git, and no others.
    """

    def __init__(self, bare: Path, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - no argument comes from outside
            ["git", "--git-dir", str(bare), "cat-file", "--batch"],  # noqa: S607 - PATH is the executor's
            env=dict(environment),
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.communicate()

    def read(self, name: str, kind: str) -> bytes:
        """Read one object.

        Args:
            name: Its id.
            kind: ``commit``, ``tree`` or ``blob``.

        Raises:
            MissingObjectError: If there is no such object of that kind.
        """
        requests, answers = self._pipes()
        try:
            requests.write(name.encode() + b"\n")
            requests.flush()
        except BrokenPipeError as error:  # git has ended: what is there is no repository (any more)
            raise MissingObjectError(name) from error
        match answers.readline().decode().split():
            case [_, found, size] if size.isdigit():
                content = answers.read(int(size))
                answers.read(1)
            case _:
                raise MissingObjectError(name)
        if found != kind:
            raise MissingObjectError(f"{name} is a {found}")
        return content

    def has_commit(self, commit: str) -> bool:
        """Say whether the repository has a commit of this full id."""
        try:
            self.read(commit, "commit")
        except MissingObjectError:
            return False
        return True

    def write(self, commit: str, destination: Path) -> Checkout:
        """Write a commit's files below a new folder and take away the right to write there.

        Raises:
            MissingObjectError: If an object is not there.
            UnsafeTreeError: If an entry of the tree is refused.
        """
        header = self.read(commit, "commit").split(b"\n", 1)[0]
        tree = header.removeprefix(b"tree ").decode()
        submodules: list[str] = []
        links: list[str] = []
        files = size = 0
        destination.mkdir()
        folders = [destination]
        for path, mode, name in self._walk(tree, ""):
            target = destination / path
            if mode == FOLDER:
                target.mkdir()
                folders.append(target)
            elif mode == SUBMODULE:
                submodules.append(path)
            else:
                content = self.read(name, "blob")
                files, size = files + 1, size + len(content)
                if files > MAX_FILES or size > MAX_BYTES:
                    raise UnsafeTreeError(f"it has more than {MAX_FILES} files or {MAX_BYTES >> 30} GiB")
                if mode == LINK:
                    links.append(path)
                _write(target, content, 0o555 if mode == EXECUTABLE else 0o444)
        for folder in folders:
            folder.chmod(0o555)
        return Checkout(folder=destination, tree=tree, submodules=submodules, links=links)

    def _walk(self, tree: str, prefix: str) -> Iterator[tuple[str, str, str]]:
        if prefix.count("/") > MAX_DEPTH:
            raise UnsafeTreeError(f"{prefix[:80]!r} is nested too deeply")
        seen: set[str] = set()
        for mode, name, child in _entries(self.read(tree, "tree")):
            verify_component(name)
            if name in seen:
                raise UnsafeTreeError(f"{prefix + name!r} is there twice")
            seen.add(name)
            yield prefix + name, mode, child
            if mode == FOLDER:
                yield from self._walk(child, f"{prefix}{name}/")

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        if self._process.stdin is None or self._process.stdout is None:
            raise RuntimeError("git was started without pipes")
        return self._process.stdin, self._process.stdout


def verify_component(name: str) -> None:
    """Refuse a path component that could leave its folder, hide control characters or be taken for a repository.

    Raises:
        UnsafeTreeError: If it is refused.
    """
    is_unsafe = name in {"", ".", ".."} or "/" in name or "\\" in name or any(char < " " for char in name)
    if is_unsafe or name.casefold() == ".git" or len(os.fsencode(name)) > MAX_NAME:
        raise UnsafeTreeError(f"{name[:80]!r} is not an acceptable name")


def _entries(tree: bytes) -> Iterator[tuple[str, str, str]]:
    """Parse a tree object: ``mode SP name NUL id``, repeated, ids as 20 raw bytes."""
    position = 0
    while position < len(tree):
        space = tree.index(b" ", position)
        end = tree.index(b"\0", space)
        name = os.fsdecode(tree[space + 1 : end])
        yield tree[position:space].decode(), name, tree[end + 1 : end + 21].hex()
        position = end + 21


def _write(target: Path, content: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with os.fdopen(os.open(target, flags, 0o600), "wb") as file:
        file.write(content)
        os.fchmod(file.fileno(), mode)
