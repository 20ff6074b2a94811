# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The part of the grammar for the queue: how a run is to wait, what a project may use, and who executes."""

from __future__ import annotations

import re
from argparse import ArgumentParser, ArgumentTypeError
from collections.abc import Callable
from typing import Any

import msgspec

from animus.verbs import executors, quotas

AddVerb = Callable[[Any, str, Callable[..., Any]], ArgumentParser]
AddNoun = Callable[[Any, str, str], Any]

DURATION = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[smhd]?)")
SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 24 * 3600}


def declare(verbs: Any, verb: AddVerb, noun: AddNoun) -> None:
    """Add the verbs.

    Args:
        verbs: Where they are added.
        verb: Adds a verb.
        noun: Adds a noun that has verbs of its own.
    """
    verb(verbs, "executors", executors.show_all)
    quota = noun(verbs, "quota", "What the project may use")
    verb(quota, "show", quotas.show)
    put = verb(quota, "set", quotas.put)
    for name, told in (
        ("concurrent-runs", "most runs at a time"),
        ("max-priority", "highest priority of a submission"),
    ):
        put.add_argument(f"--{name}", type=quotas.count, default=msgspec.UNSET, metavar="N", help=f"{told}, or none")
    for name, told in (("cpu-hours", "cores"), ("memory-gib-hours", "GiB of memory"), ("gpu-hours", "accelerators")):
        words = f"most hours of {told} in a period, or none"
        put.add_argument(f"--{name}", type=quotas.bound, default=msgspec.UNSET, metavar="X", help=words)
    days = "length of the period: today and the days before"
    put.add_argument("--period-days", type=int, default=msgspec.UNSET, metavar="N", help=days)
    weight = "share of the project when several wait"
    put.add_argument("--weight", type=float, default=msgspec.UNSET, metavar="X", help=weight)


def declare_submission(run: ArgumentParser) -> None:
    """Add how a run is to be queued to the arguments of its submission."""
    run.add_argument("--priority", type=int, default=0, metavar="N", help="from -100 to 100; a higher one goes first")
    longest = "how long it may wait for an executor, such as 90s, 10m, 2h"
    run.add_argument("--queue-time", type=seconds, metavar="TIME", help=longest)
    run.add_argument("--cell-time", type=seconds, metavar="TIME", help="how long one cell may take")
    run.add_argument("--retries", type=int, default=0, metavar="N", help="after failures of the infrastructure, to 5")
    run.add_argument("--needs", action="append", default=[], metavar="NAME=VALUE", help="label the executor must have")


def seconds(text: str) -> float:
    """Read a duration such as ``90``, ``90s``, ``10m``, ``2h`` or ``1d``."""
    match = DURATION.fullmatch(text)
    if match is None:
        message = f"{text!r} is no duration; say it like 90s, 10m, 2h or 1d"
        raise ArgumentTypeError(message)
    return float(match["number"]) * SECONDS[match["unit"]]
