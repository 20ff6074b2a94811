# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The project's quota: what it may use, and what it uses."""

from __future__ import annotations

import math
from argparse import ArgumentTypeError, Namespace

import msgspec

from animus.errors import UsageError
from animus.verbs import Desk
from animus_contracts.quotas import ProjectQuota, PutQuota

BOUNDS = PutQuota.__struct_fields__
UNBOUNDED = "none"


def show(desk: Desk, _given: Namespace) -> ProjectQuota:
    """Show what the project may use, and what it uses."""
    return desk.client().quotas.read()


def put(desk: Desk, given: Namespace) -> ProjectQuota:
    """Change the project's quota; what is not named stays as it is."""
    quotas = desk.client().quotas
    changes = {name: value for name in BOUNDS if (value := getattr(given, name)) is not msgspec.UNSET}
    if not changes:
        remedy = "animus quota set --concurrent-runs 4"
        raise UsageError("usage", "nothing is to be changed", remedy=remedy)
    before = quotas.read().quota
    known = {name: getattr(before, name) for name in BOUNDS} if before else {}
    quotas.put(PutQuota(**known | changes))
    return quotas.read()


def bound(text: str) -> float | None:
    """Read a bound of hours: a number, or ``none`` for no bound."""
    return None if text == UNBOUNDED else _number(text, float)


def count(text: str) -> int | None:
    """Read a bound that is counted: a whole number, or ``none`` for no bound."""
    return None if text == UNBOUNDED else int(_number(text, int))


def _number(text: str, kind: type[int | float]) -> float:
    try:
        number = kind(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):  # JSON has no such number: it would arrive as "no bound"
        message = f"{text!r} is neither a {'whole ' if kind is int else ''}number nor {UNBOUNDED!r}"
        raise ArgumentTypeError(message)
    return number
