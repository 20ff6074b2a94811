# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The Jupyter server extension: the browser's way to the control plane, and to what a notebook stands on.

Every route is below ``animus/`` of the user's own server, needs a login there, and for what changes anything the XSRF
token as well.
"""

from __future__ import annotations

from typing import Any


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    """Tell Jupyter Server which module to load."""
    return [{"module": "animus_server"}]


def _load_jupyter_server_extension(server: Any) -> None:
    """Add the extension's routes to a Jupyter server."""
    from animus_server.application import add_routes  # noqa: PLC0415  # nothing is loaded before a server asks

    add_routes(server.web_app, server.log)
