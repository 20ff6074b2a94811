# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The project's quota: members read it, administrators of the platform set it."""

from __future__ import annotations

from animus.api import Group
from animus_contracts.quotas import ProjectQuota, PutQuota, Quota


class Quotas(Group):
    """The project's quota."""

    def read(self) -> ProjectQuota:
        """Return the quota, None where there is none, and what the project uses."""
        found: ProjectQuota = self._call("quotas.read")
        return found

    def put(self, quota: PutQuota) -> Quota:
        """Set the quota; what is left out is unbounded."""
        stored: Quota = self._call("quotas.put", quota)
        return stored
