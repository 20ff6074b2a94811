# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A control plane that knows memberships only, spoken to over HTTP as the real one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import msgspec

from animus_contracts.identifiers import ProjectId
from animus_contracts.pages import Page
from animus_contracts.projects import Membership, Role


@dataclass
class MembershipServer:
    """Roles by user and project; ``body`` replaces the answer, ``seen`` collects paths and credentials."""

    url: str
    roles: dict[str, dict[str, Role]] = field(default_factory=dict)
    body: bytes | None = None
    status: int = 200
    seen: list[tuple[str, str]] = field(default_factory=list)

    def answer(self, user: str) -> bytes:
        """Return the answer for a user as the contract has it."""
        items = [
            Membership(project_id=ProjectId(name), project=name, role=role)
            for name, role in self.roles.get(user, {}).items()
        ]
        return msgspec.json.encode(Page(items=items)) if self.body is None else self.body


@contextmanager
def membership_server() -> Iterator[MembershipServer]:
    """Serve memberships on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            fake.seen.append((self.path, self.headers.get("Authorization", "")))
            body = fake.answer(self.path.split("/")[-2])
            self.send_response(fake.status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fake = MembershipServer(url=f"http://127.0.0.1:{server.server_address[1]}")
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield fake
        server.shutdown()
