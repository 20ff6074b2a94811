# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who is asking, whom, and in which project: found in the environment first, then in what ``animus login`` saved.

The token is read from a file wherever that is possible, is never printed (``repr`` masks it), and a saved token is
only ever sent to the address it was saved for. The saved login is a file of mode 0600 that only its owner can read.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, urlsplit

import msgspec

from animus.errors import AnimusError, UsageError
from animus_contracts.decoding import decode_json

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


class Saved(msgspec.Struct, frozen=True, kw_only=True):
    """What outlives a process: the login and the project in use."""

    url: str = ""
    token: str = ""
    project: str = ""

    def __repr__(self) -> str:
        return f"Saved(url={self.url!r}, token={'***' if self.token else ''!r}, project={self.project!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """Address, credential and default project.

    Attributes:
        url: Address of the control plane, without the API prefix and without a trailing slash.
        token: The bearer token.
        project: Name or id of the default project, empty when there is none.
    """

    url: str
    token: str = field(repr=False)
    project: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether the control plane is on this machine, where no proxy must come between."""
        return urlsplit(self.url).hostname in LOOPBACK

    def page_of(self, project: str, run: str) -> str:
        """Return where a browser finds a run's page.

        In a workspace of the Hub it is a path: the browser knows the Hub under another address than we do.
        """
        base = urlsplit(self.url).path if "JUPYTERHUB_SERVICE_PREFIX" in os.environ else self.url
        return f"{base}/projects/{quote(project)}/runs/{quote(run)}"


def folder(environment: Mapping[str, str]) -> Path:
    """Return the folder in which the client keeps its files."""
    root = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".config"
    return Path(environment.get("ANIMUS_CONFIG_DIR") or Path(root) / "animus")


def load(environment: Mapping[str, str]) -> Saved:
    """Read what was saved, or nothing."""
    path = folder(environment) / "login.json"
    try:
        return decode_json(path.read_bytes(), Saved)
    except FileNotFoundError:
        return Saved()
    except (OSError, msgspec.MsgspecError) as error:
        raise UsageError("bad_login_file", f"{path} cannot be read: {error}", remedy="animus login URL") from error


def save(environment: Mapping[str, str], saved: Saved) -> Path:
    """Write what outlives the process, readable by its owner only, all or nothing."""
    home = folder(environment)
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    path, new = home / "login.json", home / f"login.json.{os.getpid()}"
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.encode(saved))
    new.replace(path)
    return path


def find(environment: Mapping[str, str], *, project: str = "") -> Session:
    """Put the session together from the environment and what was saved.

    Args:
        environment: Usually ``os.environ``.
        project: A project named for this one command; it wins.

    Raises:
        UsageError: If there is no address or no token.
    """
    saved = load(environment)
    url = (environment.get("ANIMUS_URL") or saved.url).rstrip("/")
    if not url:
        raise UsageError("not_logged_in", "no control plane is known", remedy="animus login URL, or set ANIMUS_URL")
    if urlsplit(url).scheme not in {"http", "https"}:
        raise UsageError("bad_url", f"{url!r} is not an http or https address", remedy="animus login URL")
    token = _token(environment) or (saved.token if saved.url == url else "")
    if not token:
        raise UsageError("not_logged_in", f"no token for {url}", remedy="animus login URL, or set ANIMUS_TOKEN_FILE")
    return Session(url=url, token=token, project=project or environment.get("ANIMUS_PROJECT") or saved.project)


def _token(environment: Mapping[str, str]) -> str:
    path = environment.get("ANIMUS_TOKEN_FILE")
    if not path:
        return environment.get("JUPYTERHUB_API_TOKEN", "").strip()
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise AnimusError("bad_token_file", f"ANIMUS_TOKEN_FILE cannot be read: {type(error).__name__}") from error
