# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An authorizer that lets everything pass but what a request itself asks to be denied; Jupyter Server loads it."""

from __future__ import annotations

from typing import Any

from jupyter_server.auth import Authorizer


class AuthorizerByHeader(Authorizer):
    """Denies exactly the resource that the header ``X-Deny`` names."""

    def is_authorized(self, handler: Any, user: Any, action: str, resource: str) -> bool:
        del user, action
        return bool(handler.request.headers.get("X-Deny") != resource)
