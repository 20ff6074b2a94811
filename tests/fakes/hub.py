# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A Hub that only answers whose a token is and what groups its user has; for tests of anything but logging in."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVICE_TOKEN = "control-plane"


def a_user(
    name: str,
    *,
    admin: bool = False,
    groups: tuple[str, ...] = (),
    scopes: tuple[str, ...] = ("custom:animus:project:admin",),
) -> dict[str, Any]:
    """Build the Hub's model of a user's token."""
    return {
        "name": name,
        "kind": "user",
        "admin": admin,
        "groups": [*groups],
        "scopes": list(scopes),
        "token_id": f"t-{name}",
    }


@contextmanager
def hub_answering(users: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Serve ``GET /hub/api/user`` for these tokens, and their users' groups for a service; gives the API's URL.

    Of a user without ``groups`` it does not tell them, as a Hub does not to whom it does not allow to know.
    """

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _, _, token = self.headers.get("Authorization", "").partition(" ")
            model = users.get(token) if self.path == "/hub/api/user" else None
            if token == SERVICE_TOKEN:
                of_user = [each for each in users.values() if self.path == f"/hub/api/users/{each['name']}"]
                told = [key for key in ("name", "groups") if of_user and key in of_user[0]]
                model = {key: of_user[0][key] for key in told}
            body = json.dumps(model or {"status": 403}).encode()
            self.send_response(200 if model else 404 if token == SERVICE_TOKEN else 403)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hub/api"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=5)
