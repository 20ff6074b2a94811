# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Runs compared: ask for it, wait for the verdict, find the verdict on a replay."""

from __future__ import annotations

from collections.abc import Iterator

from animus.answers import PATIENCE, awaited
from animus.api import Group
from animus_contracts.comparisons import Comparison, CreateComparison, Tolerances
from animus_contracts.identifiers import RunId
from animus_contracts.pages import ComparisonListQuery


class Comparisons(Group):
    """The project's comparisons."""

    def create(self, left: str, right: str, *, tolerances: Tolerances | None = None) -> Comparison:
        """Ask for two runs that have ended to be compared."""
        message = CreateComparison(left=RunId(left), right=RunId(right), tolerances=tolerances or Tolerances())
        made: Comparison = self._call("comparisons.create", message)
        return made

    def read(self, comparison: str) -> Comparison:
        """Return a comparison."""
        found: Comparison = self._call("comparisons.read", comparison=comparison)
        return found

    def list(self, *, left: str | None = None, right: str | None = None) -> Iterator[Comparison]:
        """Yield comparisons, newest first; ``left`` and ``right`` are runs."""
        yield from self._pages("comparisons.list", ComparisonListQuery(left=left, right=right))

    def of_replay(self, replay: str, original: str) -> Comparison | None:
        """Return the comparison that verifies a replay; None when it was not to be verified."""
        return next((each for each in self.list(left=original) if each.verifies == replay), None)

    def wait(self, comparison: str, *, patience: float = PATIENCE) -> Comparison:
        """Wait for the verdict."""
        return awaited(lambda: self.read(comparison), patience=patience)
