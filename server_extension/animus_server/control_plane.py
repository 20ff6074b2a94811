# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Where the control plane is and with whose rights it is asked. The token never leaves this process but in a header."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from animus_contracts.endpoint import Caller, Endpoint
from animus_contracts.endpoints import ENDPOINTS

# What may stand for a name in a path: no slash, no escape, nothing that a server would resolve (".", "..").
SEGMENT = r"[A-Za-z0-9_][A-Za-z0-9._-]*"
DIGEST_SEGMENT = r"sha256:[0-9a-f]{64}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlane:
    """Address and credential.

    Attributes:
        url: Address without the API prefix; empty when none is known.
        token: The workspace's token, which stands for the user.
        token_file: File to read it from, when it is kept in one; read for every request, so that it may be renewed.
    """

    url: str
    token: str = field(default="", repr=False)
    token_file: Path | None = None

    @classmethod
    def found_in(cls, environment: Mapping[str, str]) -> ControlPlane:
        """Read address and credential from variables."""
        file = environment.get("ANIMUS_TOKEN_FILE")
        return cls(
            url=environment.get("ANIMUS_URL", "").rstrip("/"),
            token=environment.get("JUPYTERHUB_API_TOKEN", ""),
            token_file=Path(file) if file else None,
        )

    def authorization(self) -> str:
        """Return the value of the ``Authorization`` header."""
        token = self.token_file.read_text(encoding="utf-8").strip() if self.token_file else self.token
        return f"Bearer {token}"


def _pattern(endpoint: Endpoint) -> re.Pattern[str]:
    parts = re.split(r"\{(\w+)\}", endpoint.url.lstrip("/"))
    names = (DIGEST_SEGMENT if name == "digest" else SEGMENT for name in parts[1::2])
    fixed = [re.escape(part) for part in parts[::2]]
    return re.compile(fixed[0] + "".join(name + rest for name, rest in zip(names, fixed[1:], strict=True)))


_PATTERNS = [(_pattern(endpoint), endpoint) for endpoint in ENDPOINTS if endpoint.caller is Caller.USER]


def endpoint_of(method: str, path: str) -> Endpoint | None:
    """Return the user endpoint that a request means, or None when there is none.

    Args:
        method: HTTP method.
        path: Path as it was sent, below the extension's root, without a leading slash.
    """
    return next((end for pattern, end in _PATTERNS if end.method == method and pattern.fullmatch(path)), None)
