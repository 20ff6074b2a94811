# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The Hub says to which groups those belong in whose name something is soon done, though they are not there to ask.

It is asked with the control plane's own token, which needs the scope ``read:users:groups`` and no other. Whatever
keeps it from answering is written down in words, for who waits for the answer; it is never taken for "no groups".
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from urllib.parse import quote

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPClientError

from animus_contracts.decoding import decode_json
from animus_control.api.backend import Backend
from animus_control.api.hub_users import hub_request, own_groups
from animus_control.domain.identity import SYSTEM
from animus_control.domain.user_groups import KnownGroups
from animus_control.services.user_groups import note_groups, users_to_ask

AT_ONCE = 16
"""How many questions the Hub is asked at the same time."""

UNREACHABLE = "the Hub cannot be reached"
NOT_ALLOWED = "the Hub does not let the control plane know: its service needs the scope read:users:groups"


class UserModel(msgspec.Struct, frozen=True, kw_only=True):
    """What the Hub answers about a user; without the scope it leaves the groups out."""

    groups: list[str] | None = None


class HubGroups:
    """Asks the Hub for the groups of users.

    Args:
        api_url: The Hub's API, such as ``http://127.0.0.1:8081/hub/api``.
        token: The control plane's own token.
    """

    def __init__(self, api_url: str, token: str) -> None:
        self._url = api_url.rstrip("/") + "/users/"
        self._token = token
        self._client = AsyncHTTPClient(force_instance=True, max_clients=AT_ONCE)

    async def ask(self, name: str, now: datetime) -> KnownGroups:
        """Return what the Hub says about a user, or why it says nothing.

        Args:
            name: The user.
            now: The present: the answer is not older.
        """
        try:
            response = await self._client.fetch(hub_request(self._url + quote(name, safe=""), self._token))
            groups = decode_json(response.body, UserModel).groups
        except HTTPClientError as error:
            if error.code == HTTPStatus.NOT_FOUND:
                return KnownGroups(name=name, as_of=now)
            failure = NOT_ALLOWED if error.code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN} else UNREACHABLE
            return KnownGroups(name=name, failure=failure)
        except (OSError, msgspec.DecodeError):
            return KnownGroups(name=name, failure=UNREACHABLE)
        if groups is None:
            return KnownGroups(name=name, failure=NOT_ALLOWED)
        return KnownGroups(name=name, groups=own_groups(groups), as_of=now)

    def close(self) -> None:
        """Close the connections to the Hub."""
        self._client.close()


async def follow_groups(backend: Backend, hub: HubGroups) -> Sequence[KnownGroups]:
    """Ask about everybody of whom it must soon be known; the Hub is asked between two units of work, never in one."""
    call = backend.call(SYSTEM, request_id=uuid.uuid4().hex, path={})
    names = await backend.read(lambda uow: users_to_ask(uow, call))
    answers = await asyncio.gather(*[hub.ask(name, backend.clock()) for name in names])
    if answers:
        await backend.write(lambda uow: note_groups(uow, answers))
    return answers
