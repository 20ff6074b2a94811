# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who calls is decided by the one kind of credential the endpoint takes; any other kind is as good as none.

A user's token is the Hub's affair, an executor's token is configured, a run token is looked up in the database at
every call and works for its own execution only. Only hashes are kept or compared, in constant time. A token of ours
that is presented where, or when, it has no force is audited; of those the store does not know, a few per second are.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Protocol

from animus_contracts.endpoint import Caller, Endpoint
from animus_control.api.rejections import Rejection, TokenOf
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import Principal, PrincipalKind, RunClaim
from animus_control.services.run_repositories import StoredToken
from animus_control.services.tokens import PREFIXES, RUN, token_hash

OURS = tuple(PREFIXES.values())
"""What the tokens begin with that the control plane itself gives out."""

FindToken = Callable[[str], Awaitable[StoredToken | None]]

_AUTHORIZATION = re.compile(r"(?:bearer|token) +(?P<token>[\x21-\x7e]{1,4096})", re.IGNORECASE)


class UnauthenticatedError(AnimusError):
    """The request carries no credential that counts here."""

    def __init__(self, detail: str = "") -> None:
        super().__init__("unauthenticated", detail, remedy="Send a valid token as 'Authorization: Bearer …'")


class RejectedTokenError(UnauthenticatedError):
    """A dispatch or run token was presented where, or when, it has no force.

    Args:
        known: The token's claims, when the store still knows it.
        reason: Why it was rejected, for the audit log.
    """

    def __init__(self, known: StoredToken | None, reason: str) -> None:
        super().__init__("The token is not valid here")
        self.known = known
        self.reason = reason

    def rejection(self, request_id: str) -> Rejection:
        """Return what is recorded of it."""
        known = self.known
        whose = (
            TokenOf(project_id=known.project_id, run_id=known.run_id, execution_id=known.execution_id)
            if known
            else None
        )
        return Rejection(reason=self.reason, request_id=request_id, token_of=whose)


class Users(Protocol):
    """Where tokens of users and services are understood."""

    async def identify(self, token: str, *, fresh: bool) -> Principal | None:
        """Return whose token it is, or None.

        Args:
            token: The token itself.
            fresh: Whether the answer must be at most a second old, instead of ten: a write depends on it.

        Raises:
            AnimusError: With code ``service_unavailable``, when nobody can tell now.
        """


class Allowance:
    """So much per second and no more, so that strangers cannot fill the audit log.

    Args:
        per_second: How much, and how much can be saved up.
        now: A clock in seconds that never steps.
    """

    def __init__(self, per_second: float, now: Callable[[], float]) -> None:
        self._per_second = per_second
        self._now = now
        self._left, self._at = per_second, now()

    def take(self) -> bool:
        """Take one, if there is one."""
        now = self._now()
        self._left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


def hash_token(token: str) -> str:
    """Return the form in which a foreign token is remembered or compared: hexadecimal SHA-256."""
    return hashlib.sha256(token.encode()).hexdigest()


def bearer_token(header: str | None) -> str | None:
    """Return the token of an Authorization header, or None without the header.

    Raises:
        UnauthenticatedError: If the header is not of the form ``Bearer …``.
    """
    if header is None:
        return None
    match = _AUTHORIZATION.fullmatch(header.strip())
    if match is None:
        raise UnauthenticatedError("The Authorization header is not 'Bearer' and a token")
    return match["token"]


class Authenticator:
    """Turns a credential into a principal.

    Args:
        users: Understands tokens of users and services.
        executors: SHA-256 of each executor's token, in hexadecimal, by the executor's name.
        find_token: Looks up a dispatch or run token by its hash.
        clock: The present.
    """

    def __init__(
        self, *, users: Users, executors: Mapping[str, str], find_token: FindToken, clock: Callable[[], datetime]
    ) -> None:
        self._users = users
        self._executors = dict(executors)
        self._find_token = find_token
        self._clock = clock

    async def authenticate(self, endpoint: Endpoint, path: Mapping[str, str], token: str | None) -> Principal:
        """Return who calls an endpoint.

        Raises:
            UnauthenticatedError: If the token is missing, unknown, of another kind, expired or revoked.
            AnimusError: With code ``service_unavailable``, when the Hub cannot be asked.
        """
        if token is None:
            raise UnauthenticatedError
        if endpoint.caller is Caller.RUN:
            return await self._run(token, path["execution"])
        if token.startswith(OURS):
            raise RejectedTokenError(await self._find_token(token_hash(token)), "wrong_endpoint")
        if endpoint.caller is Caller.EXECUTOR:
            return self._executor(token)
        return await self.user(token, fresh=endpoint.is_write)

    async def user(self, token: str, *, fresh: bool) -> Principal:
        """Return the user or service a Hub token belongs to.

        Raises:
            UnauthenticatedError: If the Hub does not know the token.
        """
        principal = await self._users.identify(token, fresh=fresh)
        if principal is None:
            raise UnauthenticatedError
        return principal

    def _executor(self, token: str) -> Principal:
        presented = hash_token(token)
        found = [name for name, known in self._executors.items() if hmac.compare_digest(known, presented)]
        if not found:
            raise UnauthenticatedError
        return Principal(name=found[0], kind=PrincipalKind.EXECUTOR)

    async def _run(self, token: str, execution_id: str) -> Principal:
        known = await self._find_token(token_hash(token))
        reason = self._why_rejected(known, execution_id)
        if known is None or reason:
            if token.startswith(OURS):
                raise RejectedTokenError(known, reason)
            raise UnauthenticatedError
        claim = RunClaim(
            run_id=known.run_id, project_id=known.project_id, execution_id=known.execution_id, epoch=known.epoch
        )
        return Principal(name=known.run_id, kind=PrincipalKind.RUN, run=claim)

    def _why_rejected(self, known: StoredToken | None, execution_id: str) -> str:
        if known is None:
            return "unknown_or_revoked"
        if known.kind != RUN:
            return "wrong_kind"
        if known.execution_id != execution_id:
            return "other_execution"
        return "expired" if known.expires_at <= self._clock() else ""
