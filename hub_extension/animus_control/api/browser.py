# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A browser is signed in by the Hub (OAuth with PKCE); its cookie opens pages, and the API only with the XSRF token.

The cookie alone is no permission to call the API, not even to read: pages of other people may live on the same
origin. The token in the ``X-XSRFToken`` header is signed and bound to the session, and the request must say that it
comes from this very origin. A plain navigation may fetch bytes as an attachment.
"""

from __future__ import annotations

import hmac
from typing import Any

from jupyterhub.services.auth import HubOAuth, HubOAuthenticated  # type: ignore[import-untyped]  # it ships no types
from tornado.web import RequestHandler

from animus_contracts.endpoint import Body, Endpoint
from animus_control.domain.errors import AnimusError

XSRF_HEADER = "X-XSRFToken"


class BrowserHandler(HubOAuthenticated, RequestHandler):  # type: ignore[misc]  # JupyterHub ships no types
    """A handler that understands the Hub's cookies; the application's settings hold the Hub's OAuth client."""

    @property
    def hub_auth(self) -> HubOAuth:
        """The OAuth client at the Hub."""
        client: HubOAuth = self.settings["hub_auth"]
        return client


class Browser:
    """Reads and checks what a browser sends along.

    Args:
        hub_auth: The OAuth client at the Hub.
    """

    def __init__(self, hub_auth: HubOAuth) -> None:
        self.hub_auth = hub_auth

    def token(self, handler: Any) -> str | None:
        """Return the Hub token in the signed cookie, or None."""
        cookie = handler.get_signed_cookie(self.hub_auth.cookie_name)
        return cookie.decode("ascii", "replace") if cookie else None

    def require_same_site(self, handler: Any, endpoint: Endpoint) -> None:
        """Refuse a cookie's request unless our own page made it.

        Raises:
            AnimusError: With code ``xsrf_failed``.
        """
        headers = handler.request.headers
        navigates = headers.get("Sec-Fetch-Mode") == "navigate" and not endpoint.is_write
        if navigates and endpoint.produces is Body.BYTES:
            return
        if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin" or not _same_origin(handler):
            raise AnimusError("xsrf_failed", "The request comes from another origin")
        given, expected = headers.get(XSRF_HEADER, "").encode(), handler.xsrf_token
        if not given or not hmac.compare_digest(given, _as_bytes(expected)):
            raise AnimusError("xsrf_failed", f"The {XSRF_HEADER} header is missing or wrong")


def _same_origin(handler: Any) -> bool:
    origin = handler.request.headers.get("Origin")
    return origin is None or origin.partition("://")[2] == handler.request.headers.get("Host")


def _as_bytes(token: bytes | str) -> bytes:
    return token.encode() if isinstance(token, str) else token
