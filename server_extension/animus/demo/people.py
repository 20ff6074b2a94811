# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""People log in with a password, as in a browser, and get a token for their commands.

The token ends after an hour and may do what its person may do in projects, start their
workspaces, and nothing else.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import httpx

from animus.demo.expectations import Disappointment, expect

TOKEN_SECONDS = 3600
TOKEN_SCOPES = [
    "custom:animus:project:admin",
    "access:services!service=animus",
    "servers!user",
    "read:servers!user",
    "access:servers!user",
]
WORKSPACE_SECONDS = 90


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who is logged in."""

    name: str
    address: str
    token: str = field(repr=False)

    def ask_for_workspace(self, project: str) -> None:
        """Ask the Hub to start the workspace of a project, without waiting for it."""
        answer = self.call("POST", f"/hub/api/users/{self.name}/servers/{project}", json={})
        # 400: it runs already, which is as good.
        expect(answer.status_code in {201, 202, 400}, f"the workspace of {self.name} was refused: {answer.text}")

    def workspace(self, project: str) -> str:
        """Wait until a workspace is ready and return its path, such as ``/user/ed/demo/``.

        Raises:
            Disappointment: If it is not ready in time.
        """
        deadline = time.monotonic() + WORKSPACE_SECONDS
        while time.monotonic() < deadline:
            servers = self.call("GET", f"/hub/api/users/{self.name}").json()["servers"]
            if servers.get(project, {}).get("ready"):
                return str(servers[project]["url"])
            time.sleep(0.3)
        raise Disappointment(f"the workspace of {self.name} is not ready after {WORKSPACE_SECONDS} s")

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        """Send a request with the person's token."""
        headers = {"Authorization": f"token {self.token}"}
        return httpx.request(method, self.address + path, headers=headers, timeout=60, trust_env=False, **more)


def log_in(address: str, name: str, password: str) -> Person:
    """Log in as in a browser and make a token.

    Args:
        address: Address of the Hub for browsers.
        name: User name.
        password: Password.

    Returns:
        The person, with a token.

    Raises:
        Disappointment: If the Hub refuses.
    """
    with httpx.Client(base_url=address, follow_redirects=True, timeout=60, trust_env=False) as browser:
        browser.get("/hub/login")
        form = {"username": name, "password": password}
        answer = browser.post("/hub/login", params={"_xsrf": _xsrf(browser)}, data=form)
        expect(answer.status_code == httpx.codes.OK and "/hub/login" not in str(answer.url), f"{name} cannot log in")
        answer = browser.post(
            f"/hub/api/users/{name}/tokens",
            headers={"X-XSRFToken": _xsrf(browser)},
            json={"note": "animus demo", "expires_in": TOKEN_SECONDS, "scopes": TOKEN_SCOPES},
        )
        expect(answer.status_code == httpx.codes.CREATED, f"{name} gets no token: {answer.text}")
        return Person(name=name, address=address, token=answer.json()["token"])


def _xsrf(browser: httpx.Client) -> str:
    return next(
        cookie.value or "" for cookie in browser.cookies.jar if cookie.name == "_xsrf" and cookie.path == "/hub/"
    )
