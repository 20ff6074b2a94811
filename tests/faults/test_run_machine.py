# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F9: whatever users, executors, clocks and losses do, through two control planes: the invariants hold at each step.

The machine keeps every lease it ever got and goes on using the old ones, as an executor does that slept too long; and
it repeats submissions under old keys, as a user does who lost the answer.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import ClassVar

import pytest
from hypothesis import HealthCheck, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from animus_contracts.decoding import decode_json
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.executions import Lease, Verdict
from animus_contracts.run_events import NotebookStarted
from animus_contracts.runs import TERMINAL_STATES, CancelRun, Failure, FailureReason, Run, RunState
from animus_control.api.idempotency import answer_once, build_key
from animus_control.domain.errors import ConflictError, DeniedError
from animus_control.domain.identity import Principal
from animus_control.services.executions import LIVE
from animus_control.services.tokens import token_hash
from animus_control.storage.engine import open_database
from tests.faults.campaign import Campaign, sized
from tests.faults.invariants import Observed, Promised, broken_invariants
from tests.faults.observers import held_by
from tests.unit.control.services.desk import ED, LOCAL, REMOTE, Desk

BROKE = Failure(reason=FailureReason.USER_CODE, summary="It broke.")
TOO_LATE = {"stale_epoch", "event_conflict", "invalid_transition", "forbidden"}
KEYS = ["a", "b", "c"]
REASONS = frozenset(FailureReason)
picks = st.integers(0, 10**6)


class RunMachine(RuleBasedStateMachine):
    """Two control planes on one database, two executors, some users, a clock, and runs."""

    template: ClassVar[Path]
    examples: ClassVar[int] = 0

    @initialize()
    def open(self) -> None:
        type(self).examples += 1
        self.folder = tempfile.TemporaryDirectory()
        place = Path(self.folder.name) / "animus.db"
        shutil.copyfile(self.template, place)
        self.databases = [open_database(f"sqlite:///{place}") for _ in range(2)]
        self.desk = Desk(self.databases[0])
        self.project_id = self.desk.project().project_id
        self.message = self.desk.submission()
        self.leases: list[tuple[Principal, Lease]] = []
        self.tokens: list[tuple[Lease, str]] = []
        self.acknowledged: list[tuple[Principal, Lease, Verdict, RunState]] = []
        self.by_key: dict[str, str] = {}
        self.ended: dict[str, Run] = {}
        for _ in range(3):
            self.submit()
        for who in (LOCAL, REMOTE):
            self.lease(who)
        self.start(0)

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.everything_ends()
            for database in self.databases:
                database.close()
            self.folder.cleanup()

    @rule()
    def other_control_plane(self) -> None:
        """From now on somebody else answers."""
        self.databases.reverse()
        self.desk.database = self.databases[0]

    @rule()
    def submit(self) -> None:
        self.desk.submit(self.message)

    @rule(key=st.sampled_from(KEYS))
    def submit_under_a_key(self, key: str) -> None:
        endpoint, call = BY_OPERATION["runs.submit"], self.desk.call(ED, project="demo")
        built = build_key(key, subject=ED.subject, method="POST", path="/runs", body=b"the same")
        work = partial(answer_once, call=call, endpoint=endpoint, message=self.message, key=built)
        run_id = decode_json(self.desk.write(work).body, Run).run_id
        assert self.by_key.setdefault(key, run_id) == run_id, "I2: one key, two runs"

    @rule(who=st.sampled_from([LOCAL, REMOTE]))
    def lease(self, who: Principal) -> None:
        lease = self.desk.lease(who)
        if lease is not None:
            assert all(lease.epoch != old.epoch for _, old in self.leases if old.run_id == lease.run_id)
            self.leases.append((who, lease))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def start(self, pick: int) -> None:
        who, lease = self.leases[pick % len(self.leases)]
        self.attempt(lambda: self.tokens.append((lease, self.desk.start(lease, who))))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def start_and_end(self, pick: int) -> None:
        self.start(pick)
        self.end(pick, Verdict.SUCCEEDED)

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def heartbeat(self, pick: int) -> None:
        who, lease = self.leases[pick % len(self.leases)]
        self.attempt(lambda: self.desk.heartbeat(lease, who))

    @precondition(lambda self: self.leases)
    @rule(pick=picks, sequence=st.integers(1, 3))
    def report(self, pick: int, sequence: int) -> None:
        _, lease = self.leases[pick % len(self.leases)]
        event = NotebookStarted(sequence=sequence, at=self.desk.now, cells_total=1)
        self.attempt(lambda: self.desk.report(lease, event))

    @precondition(lambda self: self.leases)
    @rule(pick=picks, verdict=st.sampled_from(Verdict))
    def end(self, pick: int, verdict: Verdict) -> None:
        who, lease = self.leases[pick % len(self.leases)]
        failure = BROKE if verdict is Verdict.FAILED else None

        def end() -> None:
            ended = self.desk.end(lease, verdict, failure, who=who)
            self.acknowledged.append((who, lease, verdict, ended.state))

        self.attempt(end)

    @precondition(lambda self: self.acknowledged)
    @rule(pick=picks)
    def repeat_an_end(self, pick: int) -> None:
        who, lease, verdict, state = self.acknowledged[pick % len(self.acknowledged)]
        self.attempt(lambda: self.desk.report(lease, NotebookStarted(sequence=1, at=self.desk.now, cells_total=1)))
        repeated = self.desk.end(lease, verdict, BROKE if verdict is Verdict.FAILED else None, who=who)
        assert (repeated.state, repeated.duplicate) == (state, True), "I2: one end, two answers"

    @precondition(lambda self: self.look().runs)
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        runs = self.look().runs
        self.desk.do(ED, "runs.cancel", CancelRun(), project="demo", run=runs[pick % len(runs)].run_id)

    @rule(seconds=st.sampled_from([1, 10, 29, 31, 3600]))
    def wait(self, seconds: int) -> None:
        self.desk.later(seconds)

    @rule()
    def reconcile(self) -> None:
        self.desk.reconcile()

    @invariant()
    def nothing_is_broken(self) -> None:
        if not hasattr(self, "desk"):
            return
        observed = self.look()
        promised = Promised(submissions={}, reasons=REASONS, settled=False)
        assert broken_invariants(observed, promised) == []
        known = {run.run_id: run for run in observed.runs}
        assert known.keys() >= set(self.by_key.values()), "I1: an acknowledged run is gone"
        for run in observed.runs:
            if run.state in TERMINAL_STATES:
                assert self.ended.setdefault(run.run_id, run) == run, "I5: an ended run changed"

    @invariant()
    def no_token_outlives_its_attempt(self) -> None:
        if not hasattr(self, "desk"):
            return
        for lease, token in self.tokens:
            stored = self.desk.read(lambda uow, token=token: uow.tokens.find(token_hash(token)))
            execution = self.desk.read(lambda uow, lease=lease: uow.executions.get(lease.execution_id))
            assert execution is not None
            assert stored is None or execution.state in LIVE, "I11: the attempt is over and its token works"

    def everything_ends(self) -> None:
        for _ in range(40):
            self.desk.reconcile()
            while (lease := self.desk.lease()) is not None:
                self.desk.start(lease)
                self.desk.end(lease)
            if all(run.state in TERMINAL_STATES for run in self.look().runs):
                return
            self.desk.later(31)
        raise AssertionError(f"I7: {[run.state for run in self.look().runs]}")

    def look(self) -> Observed:
        if not hasattr(self, "desk"):
            return Observed(runs=[], executions={}, artifacts={}, events=[])
        return held_by(self.databases[1], self.project_id)  # what one wrote, the other sees

    def attempt(self, action: Callable[[], object]) -> None:
        """Do what an executor may be too late for; any other refusal is a fault."""
        try:
            action()
        except (ConflictError, DeniedError) as error:
            if error.code not in TOO_LATE:
                raise


@pytest.mark.faults
@pytest.mark.timeout(sized(300, 6 * 3600))
def test_whatever_happens_in_whatever_order_the_invariants_hold(
    sqlite_template: Path, campaign: Callable[[str], Campaign]
) -> None:
    f9 = campaign("F9 any order of events, two control planes")
    RunMachine.template, RunMachine.examples = sqlite_template, 0
    limits = settings(
        max_examples=sized(50, 10_000),
        stateful_step_count=sized(30, 50),
        deadline=None,
        database=None,  # the seed alone decides
        print_blob=True,
        suppress_health_check=list(HealthCheck),
    )
    try:
        run_state_machine_as_test(seed(f9.seed)(RunMachine), settings=limits)
    except AssertionError as error:
        f9.broken.append(f"I?: {error}")
        raise
    f9.runs = RunMachine.examples
    f9.finish()
