# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A rule of the architecture is a function from a source tree to the places that break it.

Each rule runs on this project, where it must find nothing, and on a small tree with one planted fault, where it must
find exactly that: a rule that cannot fail proves nothing.
"""

from __future__ import annotations

import ast
import functools
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2]
SOURCE_FOLDERS = ("hub_extension", "server_extension", "kernels")
TRUSTED = ("animus_contracts", "animus_control", "animus_hub")
SPDX = "# SPDX-FileCopyrightText: Animus Datalab contributors\n# SPDX-License-Identifier: Apache-2.0\n"

Rule = Callable[["SourceTree"], list[str]]


@dataclass(frozen=True, slots=True)
class Module:
    """A Python file: where it is, its dotted name, its text."""

    place: str
    name: str
    text: str

    @property
    def package(self) -> str:
        return self.name.partition(".")[0]

    def syntax(self) -> ast.Module:
        return _parsed(self.text)

    def at(self, node: ast.AST, fault: str) -> str:
        """Say where a fault is, as editors and people read it."""
        return f"{self.place}:{getattr(node, 'lineno', 1)}: {fault}"


@functools.cache
def _parsed(text: str) -> ast.Module:
    return ast.parse(text)


@dataclass(frozen=True, slots=True)
class SourceTree:
    """A checkout: this project, or one planted for a test."""

    root: Path

    def modules(self, *packages: str) -> Iterator[Module]:
        """Yield the modules of these packages, or of all of them."""
        for folder in SOURCE_FOLDERS:
            for path in sorted((self.root / folder).rglob("*.py")):
                parts = path.relative_to(self.root / folder).with_suffix("").parts
                if packages and parts[0] not in packages:
                    continue
                name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
                yield Module(path.relative_to(self.root).as_posix(), name, path.read_text(encoding="utf-8"))

    def files(self) -> Iterator[tuple[str, Path]]:
        """Yield what is published: the files git tracks, or every file where there is no repository."""
        listed = subprocess.run(["git", "ls-files", "-z"], cwd=self.root, capture_output=True, text=True, check=False)
        if listed.returncode == 0 and (self.root / ".git").exists():
            places = [place for place in listed.stdout.split("\0") if place]
        else:
            places = [path.relative_to(self.root).as_posix() for path in sorted(self.root.rglob("*"))]
        for place in places:
            path = self.root / place
            if path.is_file():
                yield place, path


def planted(root: Path, files: Mapping[str, str]) -> SourceTree:
    """Write files below ``root`` and return them as a tree."""
    for place, text in files.items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return SourceTree(root)


THIS_PROJECT = SourceTree(PROJECT)
