# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A campaign is one seed, what was done under it, and what did not hold; a failure says how to repeat it.

``ANIMUS_FAULTS=nightly`` makes campaigns long and their seeds new; ``ANIMUS_CAMPAIGN_SEED`` repeats a seed.
"""

from __future__ import annotations

import os
import random
import statistics
import subprocess
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

NIGHTLY = os.environ.get("ANIMUS_FAULTS") == "nightly"
SEED_OF_CHANGES = 20260
"""A change is tested with the same seed as the change before, so that what fails is the change."""

HEAD = ("campaign", "seed", "faults", "runs", "lost", "doubled", "stuck", "other", "recovery p50/p99", "result")


def sized(change: int, nightly: int) -> int:
    """Return a size for the tier in force."""
    return nightly if NIGHTLY else change


def new_seed() -> int:
    """Return the seed that was asked for, the fixed one, or at night a new one."""
    given = os.environ.get("ANIMUS_CAMPAIGN_SEED")
    if given:
        return int(given)
    return random.SystemRandom().randrange(1 << 31) if NIGHTLY else SEED_OF_CHANGES


@dataclass(slots=True)
class Campaign:
    """What happened under one seed.

    Attributes:
        name: Which campaign it is.
        seed: Decides everything that is left to chance.
        faults: How often each fault was injected.
        runs: How many runs, sequences or examples went through it.
        recoveries: How long it took each time until the installation answered again, in seconds.
        broken: What did not hold, each with the number of its invariant in front.
    """

    name: str
    seed: int = field(default_factory=new_seed)
    faults: Counter[str] = field(default_factory=Counter)
    runs: int = 0
    recoveries: list[float] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    finished: bool = False

    def chance(self) -> random.Random:
        """Return randomness that the seed decides."""
        return random.Random(self.seed)

    def finish(self, broken: Iterable[str] = ()) -> None:
        """Close the campaign; raises when anything did not hold, and says how to repeat it."""
        self.broken += broken
        self.finished = True
        assert not self.broken, f"{self}: {self.broken}"

    def __str__(self) -> str:
        return f"{self.name}: seed={self.seed} commit={commit()} faults={dict(self.faults)}"

    def row(self) -> tuple[str, ...]:
        """Return its line of the summary, in the order of :data:`HEAD`."""
        found = Counter(sentence.partition(":")[0] for sentence in self.broken)
        lost, doubled, stuck = found["I1"], found["I2"], found["I7"]
        other = sum(found.values()) - lost - doubled - stuck
        counts = (sum(self.faults.values()), self.runs, lost, doubled, stuck, other)
        return (self.name, str(self.seed), *map(str, counts), self._recovery(), "held" if self.held else "BROKEN")

    @property
    def held(self) -> bool:
        """Whether it came to its end with nothing broken."""
        return self.finished and not self.broken

    def _recovery(self) -> str:
        if not self.recoveries:
            return "-"
        slowest = sorted(self.recoveries)[min(len(self.recoveries) - 1, int(len(self.recoveries) * 0.99))]
        return f"{statistics.median(self.recoveries):.1f} s / {slowest:.1f} s"


def commit() -> str:
    """Return the commit that is tested, with a ``+`` when there is more than that."""
    folder = Path(__file__).parent
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=folder, check=False, capture_output=True, text=True)
    if not head.stdout:
        return "unknown"
    changed = subprocess.run(["git", "diff", "--quiet", "HEAD"], cwd=folder, check=False, capture_output=True)
    return head.stdout.strip()[:12] + ("+" if changed.returncode else "")


def summary(campaigns: Iterable[Campaign]) -> list[str]:
    """Return the table of campaigns, line by line."""
    rows = [HEAD, *(campaign.row() for campaign in campaigns)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEAD))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
