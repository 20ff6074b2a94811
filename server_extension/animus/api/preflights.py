# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Checks of a submission that is not made: ask, and wait until the last one is known."""

from __future__ import annotations

from animus.answers import PATIENCE, awaited
from animus.api import Group
from animus_contracts.preflights import Preflight
from animus_contracts.runs import SubmitRun


class Preflights(Group):
    """The project's preflights."""

    def create(self, submission: SubmitRun) -> Preflight:
        """Check a submission; what has to be looked at is still pending in the answer."""
        made: Preflight = self._call("preflights.create", submission)
        return made

    def read(self, preflight: str) -> Preflight:
        """Return a preflight."""
        found: Preflight = self._call("preflights.read", preflight=preflight)
        return found

    def wait(self, preflight: str, *, patience: float = PATIENCE) -> Preflight:
        """Wait until every check is known."""
        return awaited(lambda: self.read(preflight), patience=patience)
