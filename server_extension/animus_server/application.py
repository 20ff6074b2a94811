# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The extension's routes. They are put together here and nowhere else."""

from __future__ import annotations

import os
from logging import Logger
from typing import Any

from jupyter_server.utils import url_path_join

from animus_contracts import API_PREFIX
from animus_server.control_plane import ControlPlane
from animus_server.handlers import ContextHandler, ControlPlaneHandler

SETTING = "animus_control_plane"


def routes(base_url: str) -> list[tuple[str, Any]]:
    """Return the extension's routes below a server's base URL."""
    return [
        (url_path_join(base_url, "animus", f"({API_PREFIX.strip('/')}/.*)"), ControlPlaneHandler),
        (url_path_join(base_url, "animus", "context"), ContextHandler),
    ]


def add_routes(web_app: Any, log: Logger) -> None:
    """Add the routes to a server and tell it where the control plane is."""
    plane = ControlPlane.found_in(os.environ)
    web_app.settings[SETTING] = plane
    web_app.add_handlers(".*$", routes(web_app.settings["base_url"]))
    log.info("Animus: %s", plane.url or "no control plane is known (ANIMUS_URL is not set)")
