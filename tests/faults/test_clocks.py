# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F6: clocks are set, run fast, run slow, stand still: no living run is given up, no token lives longer for it.

The services are real; seconds are simulated. Every process has a wall clock, which may be wrong in any way, and a
monotonic one, which may run five per cent too fast or too slow.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from animus_contracts.executions import Lease
from animus_contracts.runs import RunState, SubmitRun
from animus_control.domain.errors import ConflictError
from animus_control.services.tokens import token_hash
from animus_control.storage.clock import SteadyClock
from animus_control.storage.engine import open_database
from tests.faults.campaign import Campaign, sized
from tests.faults.invariants import Promised, broken_invariants
from tests.faults.observers import held_by
from tests.unit.control.services.desk import LOCAL, REMOTE, Desk

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR, DAY = 3600.0, 86_400.0
SCENARIOS = sized(12, 200)
SECONDS = 380
FOLLOW, RECONCILE = 10, 3
TOKEN_GRACE = 60.0
HANDLED_SECONDS = 100.0
STATES = {RunState.DISPATCHING, RunState.RUNNING, RunState.UNKNOWN}


@dataclass(slots=True)
class Machine:
    """The clocks of one machine, as functions of real time."""

    rate: float = 1.0
    wrong: float = 0.0
    frozen_at: float | None = None
    seconds: float = 0.0

    def wall(self) -> datetime:
        real = self.seconds if self.frozen_at is None else self.frozen_at
        return START + timedelta(seconds=real + self.wrong)

    def monotonic(self) -> float:
        return self.seconds * self.rate


@dataclass(slots=True)
class Attempted:
    """An attempt of an executor that beats, or that died without a word."""

    lease: Lease
    token: str
    beats: bool
    last_beat: float = 0.0


@dataclass(slots=True)
class World:
    """One control plane, an executor that lives, one that died, and real seconds.

    Attributes:
        desk: The control plane.
        server: Its machine.
        executor: The living executor's machine.
    """

    desk: Desk
    server: Machine
    executor: Machine
    clock: SteadyClock
    attempts: list[Attempted] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def begin(self, submission: SubmitRun) -> None:
        """Start runs on both executors; the second one dies at once."""
        for who, beats in ((LOCAL, True), (LOCAL, True), (REMOTE, False)):
            self.desk.submit(submission)
            lease = self.desk.leased(who)
            self.attempts.append(Attempted(lease, self.desk.start(lease, who), beats))

    def second(self, now: int) -> None:
        """Let a second pass everywhere."""
        self.server.seconds = self.executor.seconds = float(now)
        self.desk.now = self.clock()
        if now % FOLLOW == 0:
            self.clock.follow(FOLLOW)
        if now % RECONCILE == 0:
            self.desk.reconcile()
        for attempt in self.attempts:
            if attempt.beats and self.executor.monotonic() - attempt.last_beat >= attempt.lease.heartbeat_seconds:
                self._beat(attempt)
            elif not attempt.beats:
                self._watch_the_dead(attempt, now)

    def _beat(self, attempt: Attempted) -> None:
        attempt.last_beat = self.executor.monotonic()
        try:
            self.desk.heartbeat(attempt.lease)
        except ConflictError as error:
            self.broken.append(f"I7: a living attempt was given up: {error}")
            attempt.beats = False

    def _watch_the_dead(self, attempt: Attempted, now: int) -> None:
        stored = self.desk.read(lambda uow: uow.tokens.find(token_hash(attempt.token)))
        valid = stored is not None and stored.expires_at > self.clock()
        if valid and now > self.desk.limits.run_token.total_seconds() + TOKEN_GRACE:
            self.broken.append("I11: a token lives longer than it may")
        run = self.desk.read(lambda uow: uow.runs.get(attempt.lease.project_id, attempt.lease.run_id))
        if run is not None and run.state in STATES and now > HANDLED_SECONDS:
            self.broken.append(f"I7: a run whose executor died is {run.state} after {now} s")

    def finish(self) -> None:
        """End what lives; it must have stayed the one attempt it was."""
        for attempt in self.attempts:
            if attempt.beats and self.desk.end(attempt.lease).state is not RunState.SUCCEEDED:
                self.broken.append("I7: a living attempt did not succeed")


def disturb(server: Machine, executor: Machine, chance: random.Random) -> tuple[str, Callable[[int], None]]:
    """Choose what happens to the clocks; return its name and what to call every second."""
    at = chance.randint(5, 120)
    kind = chance.choice(["set", "set twice", "rate", "rate of the executor", "frozen"])
    step = chance.choice([HOUR, -HOUR, DAY, -DAY])
    if kind == "rate":
        server.rate = chance.choice([0.95, 1.05])
    if kind == "rate of the executor":
        executor.rate = chance.choice([0.95, 1.05])

    def happen(now: int) -> None:
        if now == at and kind.startswith("set"):
            server.wrong += step
        if now == at + 60 and kind == "set twice":
            server.wrong -= 2 * step
        if kind == "frozen":
            server.frozen_at = (server.frozen_at or server.seconds) if at <= now < at + 60 else None

    return kind, happen


@pytest.mark.faults
@pytest.mark.timeout(sized(240, 3600))
def test_no_clock_ends_a_living_run_or_prolongs_a_token(
    sqlite_template: Path, tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    f6 = campaign("F6 clocks set, fast, slow, frozen")
    chance = f6.chance()
    found: list[str] = []
    for number in range(SCENARIOS):
        place = tmp_path / f"{number}.db"
        shutil.copyfile(sqlite_template, place)
        database = open_database(f"sqlite:///{place}")
        server, executor = Machine(), Machine()
        world = World(Desk(database), server, executor, SteadyClock(server.wall, server.monotonic))
        world.desk.now = world.clock()
        project = world.desk.project()
        world.begin(world.desk.submission())
        kind, happen = disturb(server, executor, chance)
        for now in range(1, SECONDS):
            happen(now)
            world.second(now)
        world.finish()
        observed = held_by(database, project.project_id)
        database.close()
        f6.faults[kind] += 1
        f6.runs += len(observed.runs)
        found += [f"{each} (scenario {number}, {kind})" for each in world.broken]
        found += broken_invariants(observed, Promised(settled=False))
    f6.finish(found)
