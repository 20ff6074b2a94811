# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How a figure is taken: sides alternate (A B A B …), medians are compared, the spread is shown beside them.

A side begins when the machine has come to rest: what the other one still does after it has answered, such as ending
its processes, is not charged to it.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import psutil

AT_REST = 10.0
"""Percent of all processors that a machine at rest uses at most."""

REST_SECONDS = 0.5
LONGEST_REST = 30.0
REPETITIONS = 3
"""How often a side that failed is asked again in one figure; whoever fails more often is not measured."""


class PeerFailedError(RuntimeError):
    """A peer did not do what it was to be timed for."""


@dataclass(slots=True)
class Side:
    """One side of a comparison: its name, one measured execution (seconds), and what was measured so far."""

    name: str
    once: Callable[[], float]
    seconds: list[float] = field(default_factory=list)
    failures: int = 0

    def measure(self, rest: Callable[[], None]) -> float:
        """Execute once after a ``rest`` and return the seconds; a peer that fails is asked again, which is counted.

        Raises:
            PeerFailedError: If it failed more than :data:`REPETITIONS` times.
        """
        while True:
            rest()
            try:
                return self.once()
            except PeerFailedError:
                self.failures += 1
                if self.failures > REPETITIONS:
                    raise

    @property
    def median(self) -> float:
        """The median in seconds."""
        return statistics.median(self.seconds)

    @property
    def spread(self) -> str:
        """Minimum and maximum in seconds, and how often it failed and was asked again."""
        failed = f"; failures: {self.failures}" if self.failures else ""
        return f"{min(self.seconds):.3f}…{max(self.seconds):.3f}{failed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One line of the report. ``ratio`` is ours over the peer's, or the peer's unit as ``goal`` says."""

    name: str
    ours: str
    peer: str
    ratio: float
    goal: str
    met: bool


def timed(work: Callable[[], object]) -> Callable[[], float]:
    """Make a function that runs ``work`` and returns its wall-clock seconds."""

    def once() -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    return once


def come_to_rest() -> None:
    """Wait until nothing else uses the processors; a machine that others keep busy is measured as it is."""
    deadline = time.monotonic() + LONGEST_REST
    while psutil.cpu_percent(REST_SECONDS) > AT_REST and time.monotonic() < deadline:
        pass


def interleave(
    sides: Sequence[Side], *, rounds: int, warmups: int = 1, rest: Callable[[], None] = come_to_rest
) -> None:
    """Run every side in turn, ``rounds`` times after ``warmups`` runs that do not count, each after a ``rest``."""
    for number in range(warmups + rounds):
        for side in sides:
            seconds = side.measure(rest)
            if number >= warmups:
                side.seconds.append(seconds)


def compare(name: str, ours: Side, peer: Side, *, at_most: float) -> Result:
    """Compare medians of durations; the goal is a ratio of at most ``at_most``."""
    ratio = ours.median / peer.median
    return Result(
        name=name,
        ours=f"{ours.median:.3f} s ({ours.spread})",
        peer=f"{peer.name} {peer.median:.3f} s ({peer.spread})",
        ratio=ratio,
        goal=f"≤ {at_most}",
        met=ratio <= at_most,
    )


def report(results: Sequence[Result]) -> str:
    """Return the results as a Markdown table."""
    rows = [
        "| figure | ours: median (min…max) | peer: median (min…max) | ratio | goal | met |",
        "|---|---|---|---|---|---|",
    ]
    rows += [
        f"| {row.name} | {row.ours} | {row.peer} | {row.ratio:.3f} | {row.goal} | {'yes' if row.met else 'no'} |"
        for row in results
    ]
    return "\n".join(rows)
