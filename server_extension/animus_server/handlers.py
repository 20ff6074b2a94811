# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the browser may ask: only what the endpoint table gives to users, only after login, with the XSRF token."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth.decorator import authorized
from jupyter_server.base.handlers import APIHandler
from tornado.web import authenticated

from animus_server import notebooks, relay
from animus_server.control_plane import ControlPlane


class AnimusHandler(APIHandler):
    """What both handlers share: one resource name for the server's authorizer."""

    auth_resource = "animus"

    @property
    def plane(self) -> ControlPlane:
        """The control plane of this server."""
        plane: ControlPlane = self.settings["animus_control_plane"]
        return plane


class ControlPlaneHandler(AnimusHandler):
    """Passes requests on to the control plane, with the user's rights."""

    @authenticated
    @authorized
    async def get(self, path: str) -> None:
        """Read."""
        await relay.relay(self, self.plane, path)

    @authenticated
    @authorized
    async def post(self, path: str) -> None:
        """Create, or act."""
        await relay.relay(self, self.plane, path)

    @authenticated
    @authorized
    async def put(self, path: str) -> None:
        """Store bytes."""
        await relay.relay(self, self.plane, path)

    @authenticated
    @authorized
    async def patch(self, path: str) -> None:
        """Change."""
        await relay.relay(self, self.plane, path)

    @authenticated
    @authorized
    async def delete(self, path: str) -> None:
        """Take away."""
        await relay.relay(self, self.plane, path)


class ContextHandler(AnimusHandler):
    """Tells where a notebook stands and what it declares."""

    @authenticated
    @authorized
    async def get(self) -> None:
        """Answer for the notebook at ``path``, as the server's file browser names it."""
        status, body = await notebooks.context(self.settings["server_root_dir"], self.get_query_argument("path"))
        self.set_status(status)
        self.finish(body)


HANDLERS: tuple[Any, ...] = (ControlPlaneHandler, ContextHandler)
