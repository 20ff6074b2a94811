# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Log in, and see who one is. A token is typed unseen or read from a file, never given as an argument."""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from pathlib import Path

import msgspec

from animus import session as sessions
from animus.client import Client
from animus.errors import UsageError
from animus.session import Session
from animus.verbs import Desk, Done
from animus_contracts.projects import Identity


def login(desk: Desk, given: Namespace) -> Done:
    """Check a token and keep it for later commands."""
    saved = sessions.load(desk.environment)
    url = (given.url or desk.environment.get("ANIMUS_URL") or saved.url).rstrip("/")
    if not url.startswith(("http://", "https://")):
        raise UsageError("bad_url", f"{url!r} is not an http or https address", remedy="animus login URL")
    token = given.token_file.read_text().strip() if given.token_file else desk.ask_secret(f"Token for {url}: ").strip()
    if not token.isascii() or not token.isprintable() or not token:
        raise UsageError("bad_token", "that is no token", remedy="create one at the Hub, under Token")
    with Client(Session(url=url, token=token)) as client:
        identity = client.whoami()
    path = sessions.save(desk.environment, msgspec.structs.replace(saved, url=url, token=token))
    return Done(message=f"logged in to {url} as {identity.name}; kept in {path}")


def whoami(desk: Desk, _given: Namespace) -> Identity:
    """Say who the caller is and what they may do."""
    return desk.client().whoami()


def hand_over(_desk: Desk, given: Namespace) -> None:
    """Become another program of the distribution (``animus up``, ``animus demo``); this one ends here."""
    command = [sys.executable, "-m", "animus_hub", *given.arguments]
    os.execv(command[0], command)  # noqa: S606  # our own interpreter and program, no shell


def existing_file(text: str) -> Path:
    """Read a command line's path of a file that must be there."""
    path = Path(text).expanduser()
    if not path.is_file():
        raise UsageError("no_such_file", f"there is no file {text!r}")
    return path
