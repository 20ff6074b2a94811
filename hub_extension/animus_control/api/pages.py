# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A few pages for browsers: projects, runs, one run live. The server sends a shell without any data in it.

The page's script reads everything through the API, with the person's own rights, and shows it as text nodes. No
inline script, no inline style, nothing from another origin, no frame around it.
"""

from __future__ import annotations

import html
from importlib.resources import files
from typing import Any

from jupyterhub.services.auth import HubOAuthCallbackHandler  # type: ignore[import-untyped]  # it ships no types
from tornado.web import RequestHandler

from animus_control.api.authentication import UnauthenticatedError
from animus_control.api.edge import Edge
from animus_control.api.handler import Handler
from animus_control.domain.errors import AnimusError

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
STATIC = {"page.js": "text/javascript; charset=utf-8", "page.css": "text/css; charset=utf-8"}
PAGES = ("/", "/projects/{project}", "/projects/{project}/runs/{run}")

Route = tuple[str, type[RequestHandler], dict[str, Any]]


def page_routes(edge: Edge) -> list[Route]:
    """Return the routes of the pages; none where no Hub signs browsers in."""
    if edge.browser is None:
        return []
    folder = files("animus_control.api") / "static"
    shell = (folder / "page.html").read_text(encoding="utf-8").replace("{prefix}", html.escape(edge.prefix))
    routes: list[Route] = [(path, PageHandler, {"shell": shell}) for path in PAGES]
    for name, media_type in STATIC.items():
        content = (folder / name).read_bytes()
        routes.append((f"/static/{name}", StaticHandler, {"content": content, "media_type": media_type}))
    routes.append(("/oauth_callback", CallbackHandler, {}))
    return routes


class PageHandler(Handler):
    """Serves the shell to whoever is signed in, and sends everyone else to the Hub."""

    operation = "page"

    shell: str

    async def get(self) -> None:
        """Answer with the shell."""
        if not await self._is_signed_in():
            self.redirect(self.get_login_url())
            return
        self.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        token = self.xsrf_token
        text = token.decode() if isinstance(token, bytes) else token
        self.finish(self.shell.replace("{xsrf}", html.escape(text)))

    async def _is_signed_in(self) -> bool:
        browser = self.edge.browser
        token = browser.token(self) if browser else None
        if token is None:
            return False
        try:
            principal = await self.edge.authenticator.user(token, fresh=False)
        except UnauthenticatedError:
            return False
        self.subject = principal.subject
        return True


class StaticHandler(Handler):
    """Serves one packaged file."""

    operation = "static"

    content: bytes
    media_type: str

    def get(self) -> None:
        """Answer with the file."""
        self.set_header("Content-Type", self.media_type)
        self.set_header("Cache-Control", "no-cache")
        self.finish(self.content)


class CallbackHandler(Handler, HubOAuthCallbackHandler):  # type: ignore[misc]  # JupyterHub ships no types
    """Ends the sign-in: the Hub sends the browser here with a code that only we can exchange."""

    operation = "oauth_callback"

    async def get(self) -> None:
        """Exchange the code; what goes wrong is the browser's problem to repeat, and says nothing else."""
        if not self.get_query_argument("code", "") and not self.get_query_argument("error", ""):
            raise AnimusError("invalid_request", "The sign-in was not completed", remedy="Open the page again")
        await HubOAuthCallbackHandler.get(self)
