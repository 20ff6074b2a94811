# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Looks at notebooks in repositories: ask, and wait for what was found."""

from __future__ import annotations

from animus.answers import PATIENCE, awaited
from animus.api import Group
from animus_contracts.inspections import CreateInspection, Inspection


class Inspections(Group):
    """The project's inspections."""

    def create(self, repository: str, ref: str, path: str) -> Inspection:
        """Ask for a look at a notebook; ``ref`` is a branch, a tag, or a full commit id."""
        made: Inspection = self._call("inspections.create", CreateInspection(repository=repository, ref=ref, path=path))
        return made

    def read(self, inspection: str) -> Inspection:
        """Return an inspection."""
        found: Inspection = self._call("inspections.read", inspection=inspection)
        return found

    def wait(self, inspection: str, *, patience: float = PATIENCE) -> Inspection:
        """Wait for what is found."""
        return awaited(lambda: self.read(inspection), patience=patience)
