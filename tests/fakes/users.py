# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Tokens understood from a dictionary; stands where the Hub stands in an installation."""

from __future__ import annotations

from animus_contracts.projects import Role
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import EVERY_PROJECT, Principal, PrincipalKind


def a_user(name: str, *, role: Role | None = Role.ADMIN, platform_admin: bool = False, **more: object) -> Principal:
    """Build a principal whose token may do up to ``role`` in every project."""
    ceiling = {EVERY_PROJECT: role} if role else {}
    fields = {"kind": PrincipalKind.USER, "ceiling": ceiling, "platform_admin": platform_admin} | more
    return Principal(name=name, **fields)  # type: ignore[arg-type]  # a builder passes on what a test names


class FakeUsers:
    """Knows the tokens it was given, unless it is told to be down."""

    def __init__(self, known: dict[str, Principal]) -> None:
        self.known = known
        self.down = False

    async def identify(self, token: str, *, fresh: bool) -> Principal | None:  # noqa: ARG002 - it forgets at once
        if self.down:
            raise AnimusError("service_unavailable")
        return self.known.get(token)
