# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Whatever users, executors, clocks and losses do to runs, in any order: the invariants hold after every step.

The machine keeps every lease it ever got and goes on using the old ones, as an executor does that slept too long.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from animus_contracts.audit import AuditRecord, first_fault
from animus_contracts.executions import ExecutionState, Lease, NotebookStarted, Verdict
from animus_contracts.pages import RunListQuery
from animus_contracts.runs import TERMINAL_STATES, CancelRun, Failure, FailureReason, Run, RunState
from animus_control.domain.errors import ConflictError, DeniedError
from animus_control.domain.identity import Principal
from animus_control.domain.runs import TRANSITIONS
from animus_control.services.executions import LIVE
from animus_control.storage.engine import open_database
from tests.unit.control.services.desk import ED, LOCAL, REMOTE, VIC, Desk

BROKE = Failure(reason=FailureReason.USER_CODE, summary="It broke.")
picks = st.integers(0, 10**6)
REACHABLE = {
    (state, target)
    for state, row in TRANSITIONS.items()
    for middle in row.values()
    for target in {middle, *(TRANSITIONS[middle].values() if middle is RunState.RECONCILING else ())}
}


class RunMachine(RuleBasedStateMachine):
    """Two executors, some users, a clock, and runs."""

    @initialize()
    def open(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.desk = Desk(open_database(f"sqlite:///{Path(self.folder.name) / 'animus.db'}"))
        self.desk.project()
        self.message = self.desk.submission()
        self.leases: list[tuple[Principal, Lease]] = []
        self.ended: dict[str, Run] = {}

    def teardown(self) -> None:
        if hasattr(self, "desk"):
            self.everything_ends()
            self.desk.database.close()
            self.folder.cleanup()

    @rule()
    def submit(self) -> None:
        self.desk.submit(self.message)

    @rule(who=st.sampled_from([LOCAL, REMOTE]))
    def lease(self, who: Principal) -> None:
        lease = self.desk.lease(who)
        if lease is not None:
            self.leases.append((who, lease))

    @precondition(lambda self: self.leases)
    @rule(pick=picks)
    def start(self, pick: int) -> None:
        who, lease = self.leases[pick % len(self.leases)]
        self.attempt(lambda: self.desk.start(lease, who))

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
        self.attempt(lambda: self.desk.end(lease, verdict, failure, who=who))

    @precondition(lambda self: self.runs())
    @rule(pick=picks)
    def cancel(self, pick: int) -> None:
        runs = self.runs()
        self.desk.do(ED, "runs.cancel", CancelRun(), project="demo", run=runs[pick % len(runs)].run_id)

    @rule(seconds=st.sampled_from([1, 10, 29, 31, 3600]))
    def wait(self, seconds: int) -> None:
        self.desk.later(seconds)

    @rule()
    def reconcile(self) -> None:
        self.desk.reconcile()

    @invariant()
    def ended_runs_never_change(self) -> None:
        for run in self.runs():
            if run.state in TERMINAL_STATES:
                assert self.ended.setdefault(run.run_id, run) == run

    @invariant()
    def at_most_one_attempt_may_commit(self) -> None:
        for run in self.runs():
            attempts = self.desk.read(lambda uow, run=run: uow.executions.of_run(run.run_id))
            live = [attempt for attempt in attempts if attempt.state in LIVE]
            waits = run.state in {RunState.QUEUED, *TERMINAL_STATES}
            assert len(live) == (0 if waits else 1), (run.state, attempts)
            assert all(attempt.epoch == run.epoch for attempt in live)
            assert sum(attempt.state is ExecutionState.ENDED for attempt in attempts) <= 1

    @invariant()
    def every_change_of_state_is_one_audit_event_of_one_chain(self) -> None:
        if not hasattr(self, "desk"):
            return
        events = self.desk.read(lambda uow: uow.audit.page(None, limit=10**6, cursor=None)).items
        assert first_fault(events) is None
        state: dict[str, str] = {}
        for record in (msgspec.json.decode(event.record, type=AuditRecord) for event in events):
            details = record.details
            if record.action == "run.created":
                state[record.resource] = details["state"]
            elif "from" in details:
                assert details["from"] == state[record.resource]
                assert (details["from"], details["to"]) in REACHABLE
                state[record.resource] = details["to"]
        assert state == {f"run:{run.run_id}": run.state for run in self.runs()}

    def everything_ends(self) -> None:
        for _ in range(40):
            self.desk.reconcile()
            while (lease := self.desk.lease()) is not None:
                self.desk.start(lease)
                self.desk.end(lease)
            if all(run.state in TERMINAL_STATES for run in self.runs()):
                return
            self.desk.later(31)
        raise AssertionError([run.state for run in self.runs()])

    def runs(self) -> list[Run]:
        if not hasattr(self, "desk"):
            return []
        items: list[Run] = self.desk.do(VIC, "runs.list", RunListQuery(limit=200), project="demo").items
        return items

    def attempt(self, action: Callable[[], object]) -> None:
        """Do what an executor may be too late for; any other refusal is a fault."""
        try:
            action()
        except (ConflictError, DeniedError) as error:
            if error.code not in {"stale_epoch", "event_conflict", "invalid_transition", "forbidden"}:
                raise


RunMachine.TestCase.settings = settings(
    max_examples=25, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
)
TestRunMachine = RunMachine.TestCase
