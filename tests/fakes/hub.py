# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A Hub that only answers whose a token is; for tests in which logging in is not the subject."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


def a_user(
    name: str, *, admin: bool = False, scopes: tuple[str, ...] = ("custom:animus:project:admin",)
) -> dict[str, Any]:
    """Build the Hub's model of a user's token."""
    return {"name": name, "kind": "user", "admin": admin, "groups": [], "scopes": list(scopes), "token_id": f"t-{name}"}


@contextmanager
def hub_answering(users: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Serve ``GET /hub/api/user`` for these tokens; gives the API's URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            _, _, token = self.headers.get("Authorization", "").partition(" ")
            model = users.get(token) if self.path == "/hub/api/user" else None
            body = json.dumps(model or {"status": 403}).encode()
            self.send_response(200 if model else 403)
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
