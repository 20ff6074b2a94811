# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A bug is a safeguard that is missing: a few places of the sources, and the tests that must notice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Edit:
    """One place of a bug: ``old`` occurs exactly once in the file, and becomes ``new``."""

    place: str
    old: str
    new: str

    def apply(self, root: Path) -> None:
        """Plant it below a folder.

        Raises:
            ValueError: If the place is not as it was when the bug was thought of.
        """
        file = root / self.place
        text = file.read_text(encoding="utf-8")
        if text.count(self.old) != 1:
            raise ValueError(f"{self.place} holds {self.old!r} {text.count(self.old)} times, not once")
        file.write_text(text.replace(self.old, self.new), encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Bug:
    """A safeguard that is missing.

    Attributes:
        name: What is wrong.
        removes: Which safeguard it takes away.
        edits: Where.
        caught_by: Tests of which each must notice it.
    """

    name: str
    removes: str
    edits: tuple[Edit, ...]
    caught_by: tuple[str, ...]
