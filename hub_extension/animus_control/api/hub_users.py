# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The Hub says whose a token is and what it may do at most; its answer is believed for seconds only.

A token's scopes are a ceiling: ``custom:animus:project:<role>`` for every project, with the filter
``!group=animus:<project>:<role>`` for that project alone. Any other filter grants nothing. Hub groups of the form
``animus:…`` mirror role bindings of the control plane and are dropped, so that no right can be derived from a mirror.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from http import HTTPStatus

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from animus_contracts.decoding import decode_json
from animus_contracts.projects import Role
from animus_control.api.authentication import hash_token
from animus_control.domain.errors import AnimusError
from animus_control.domain.identity import EVERY_PROJECT, Principal, PrincipalKind
from animus_control.domain.permissions import RANK

READ_SECONDS = 10.0
WRITE_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
MAX_CACHED = 4096
MIRRORED_GROUP = "animus:"

_SCOPE = re.compile(
    r"custom:animus:project:(?P<role>viewer|editor|admin)(?:!group=animus:(?P<project>[a-z0-9-]+):[a-z]+)?"
)
_REFUSED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}


class HubModel(msgspec.Struct, frozen=True, kw_only=True):
    """What the Hub answers about a token; it says more than we read."""

    name: str
    kind: str
    admin: bool = False
    groups: list[str] = []
    scopes: list[str] = []
    token_id: str | None = None


def ceiling_of(scopes: Iterable[str]) -> Mapping[str, Role]:
    """Return the most a token may do, by project name or :data:`EVERY_PROJECT`."""
    ceiling: dict[str, Role] = {}
    for scope in scopes:
        match = _SCOPE.fullmatch(scope)
        if match is None:
            continue
        project, role = match["project"] or EVERY_PROJECT, Role(match["role"])
        if project not in ceiling or RANK[role] > RANK[ceiling[project]]:
            ceiling[project] = role
    return ceiling


def own_groups(groups: Iterable[str]) -> frozenset[str]:
    """Return the groups that are the Hub's own and do not mirror a role binding."""
    return frozenset(group for group in groups if not group.startswith(MIRRORED_GROUP))


def hub_request(url: str, token: str) -> HTTPRequest:
    """Build a question to the Hub; no answer of it leads the token anywhere else."""
    return HTTPRequest(
        url,
        headers={"Authorization": f"token {token}", "Accept": "application/json"},
        connect_timeout=TIMEOUT_SECONDS,
        request_timeout=TIMEOUT_SECONDS,
        follow_redirects=False,
    )


def principal_of(model: HubModel, *, platform_admins: Collection[str]) -> Principal | None:
    """Build the principal of a Hub token, or None when the Hub names a kind we do not know.

    Args:
        model: The Hub's answer.
        platform_admins: Subjects (``service:animus-hub``) that count as administrators besides the Hub's own.
    """
    if model.kind not in {PrincipalKind.USER, PrincipalKind.SERVICE}:
        return None
    ceiling = ceiling_of(model.scopes)
    named = model.admin or f"{model.kind}:{model.name}" in platform_admins
    return Principal(
        name=model.name,
        kind=PrincipalKind(model.kind),
        groups=own_groups(model.groups),
        platform_admin=named and ceiling.get(EVERY_PROJECT) is Role.ADMIN,
        ceiling=ceiling,
        token_id=model.token_id or "",
    )


class HubUsers:
    """Asks the Hub, at most once at a time per token, and remembers good answers for a moment.

    Args:
        api_url: The Hub's API, such as ``http://127.0.0.1:8081/hub/api``.
        platform_admins: See :func:`principal_of`.
        monotonic: A clock that never steps.
    """

    def __init__(
        self, api_url: str, *, platform_admins: Collection[str] = (), monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._url = api_url.rstrip("/") + "/user"
        self._platform_admins = frozenset(platform_admins)
        self._monotonic = monotonic
        self._client = AsyncHTTPClient(force_instance=True, max_clients=64)
        self._known: OrderedDict[str, tuple[float, Principal]] = OrderedDict()
        self._asking: dict[str, tuple[float, asyncio.Task[Principal | None]]] = {}

    async def identify(self, token: str, *, fresh: bool) -> Principal | None:
        """Return whose token it is; see :class:`animus_control.api.authentication.Users`."""
        key, now, patience = hash_token(token), self._monotonic(), WRITE_SECONDS if fresh else READ_SECONDS
        known = self._known.get(key)
        if known is not None and now - known[0] <= patience:
            return known[1]
        asking = self._asking.get(key)
        if asking is None or now - asking[0] > patience:
            asking = (now, asyncio.create_task(self._ask(token)))
            self._asking[key] = asking
        try:
            principal = await asyncio.shield(asking[1])
        finally:
            if self._asking.get(key) is asking and asking[1].done():
                del self._asking[key]
        self._remember(key, asking[0], principal)
        return principal

    def close(self) -> None:
        """Close the connections to the Hub."""
        self._client.close()

    def _remember(self, key: str, asked_at: float, principal: Principal | None) -> None:
        if principal is None:
            self._known.pop(key, None)
            return
        self._known[key] = (asked_at, principal)
        self._known.move_to_end(key)
        if len(self._known) > MAX_CACHED:
            self._known.popitem(last=False)

    async def _ask(self, token: str) -> Principal | None:
        try:
            response = await self._client.fetch(hub_request(self._url, token))
            model = decode_json(response.body, HubModel)
        except HTTPClientError as error:
            if error.code in _REFUSED:
                return None
            raise _unavailable() from error
        except (OSError, msgspec.DecodeError) as error:
            raise _unavailable() from error
        return principal_of(model, platform_admins=self._platform_admins)


def _unavailable() -> AnimusError:
    return AnimusError("service_unavailable", "The Hub, which knows the users, cannot be reached now")
