# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Policies: store, list, show, and try one on what was submitted before."""

from __future__ import annotations

import re
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from animus.errors import UsageError
from animus.verbs import Desk
from animus_contracts.policies import Policy, PolicyState
from animus_contracts.simulations import Simulation

SPAN = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[mhdw])")
UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


def put(desk: Desk, given: Namespace) -> Policy:
    """Store the next version of a policy."""
    state = PolicyState.DISABLED if given.disabled else PolicyState.ACTIVE
    return desk.client().policies.put(given.name, _text(given.file), description=given.description, state=state)


def show_all(desk: Desk, _given: Namespace) -> list[Policy]:
    """List the policies that count, by name."""
    return list(desk.client().policies.newest())


def show(desk: Desk, given: Namespace) -> Policy:
    """Show a policy with its text."""
    return desk.client().policies.named(given.name)


def simulate(desk: Desk, given: Namespace) -> Simulation:
    """Say what a policy would have changed, without storing it."""
    since = moment_of(given.since, datetime.now(UTC)) if given.since else None
    name = given.name or given.file.stem
    return desk.client().policies.simulate(name, _text(given.file), since=since, limit=given.limit)


def moment_of(text: str, now: datetime) -> datetime:
    """Return the moment that a user means by ``30d``, ``12h`` or a date.

    Raises:
        UsageError: If it is neither.
    """
    span = SPAN.fullmatch(text)
    if span:
        return now - int(span["count"]) * UNITS[span["unit"]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        message = f"{text!r} is neither a span of time nor a date"
        raise UsageError("bad_moment", message, remedy="such as 30d, 12h or 2026-01-31") from error
    return moment if moment.tzinfo else moment.astimezone()


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError("bad_policy_file", f"{str(file)!r} is not text in UTF-8") from error
