# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the Hub asks of the control plane: the effective roles of a user, and nothing else.

An answer that cannot be had is an error, never an old answer.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import msgspec
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest

from animus_contracts.decoding import json_decoder
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.pages import Page
from animus_contracts.projects import Membership

_DECODER = json_decoder(Page[Membership])


class ControlPlaneUnavailableError(Exception):
    """The control plane did not answer, or not with memberships."""


class ControlPlane:
    """The control plane, as the Hub's own service account sees it.

    Args:
        url: Address of the control plane, without the API prefix and without a slash at the end.
        token_file: File with the API token of the Hub's service account; read at each call and never kept.
        timeout_seconds: How long an answer may take.
    """

    def __init__(self, url: str, token_file: Path, *, timeout_seconds: float = 3.0) -> None:
        self._url = url
        self._token_file = token_file
        self._timeout = timeout_seconds

    async def memberships(self, user: str) -> list[Membership]:
        """Return the effective roles of a user in all projects.

        Raises:
            ControlPlaneUnavailableError: If there is no answer in time, or none that can be understood.
        """
        path = BY_OPERATION["memberships.list"].url.format(user=quote(user, safe=""))
        token = await asyncio.to_thread(self._token_file.read_text, "ascii")
        request = HTTPRequest(
            self._url + path,
            headers={"Authorization": f"Bearer {token.strip()}", "Accept": "application/json"},
            connect_timeout=self._timeout,
            request_timeout=self._timeout,
            follow_redirects=False,
        )
        try:
            answer = await AsyncHTTPClient().fetch(request)
            return _DECODER.decode(answer.body).items
        except (HTTPClientError, OSError, msgspec.DecodeError) as error:
            raise ControlPlaneUnavailableError(f"no memberships from the control plane: {error}") from error
