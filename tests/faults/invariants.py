# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What must hold after every campaign and every step, whatever was broken: one checker for all of them.

| | |
|---|---|
| I1 | what was acknowledged is there |
| I2 | one submission is one run |
| I3 | each change of a run's state is exactly one audit event, and the other way round |
| I4 | the audit log is one chain without gaps, and its head is its end |
| I5 | only moves of the table happen, and none after an end |
| I6 | at most one attempt commits; what others left is invisible |
| I7 | no run waits for ever |
| I8 | an attempt that is over holds nothing |
| I14 | a refusal is a problem that says so; no failure but 503 and 507, with the time to come back |
| I15 | a run that our own fault ended blames us, not its author |

It reads what the control plane shows an administrator, so what it proves is what an auditor could see.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from animus_contracts.artifacts import Artifact
from animus_contracts.audit import Action, AuditEvent, AuditRecord, first_fault
from animus_contracts.decoding import decode_json
from animus_contracts.executions import Execution, ExecutionState
from animus_contracts.runs import TERMINAL_STATES, FailureReason, Run, RunState
from animus_control.domain.runs import TRANSITIONS
from animus_control.services.executions import LIVE

# What a crash of our own processes may be blamed on; anything else would blame the user for it.
CRASH_REASONS = frozenset({FailureReason.INFRASTRUCTURE, FailureReason.KILLED, FailureReason.ENVIRONMENT})
ACTIVE = frozenset({RunState.DISPATCHING, RunState.RUNNING, RunState.UNKNOWN, RunState.RECONCILING})
"""States in which exactly one attempt holds the run."""

REACHABLE = {
    (state, target)
    for state, row in TRANSITIONS.items()
    for middle in row.values()
    for target in {middle, *(TRANSITIONS[middle].values() if middle is RunState.RECONCILING else ())}
}
"""From where to where one change may lead; who gives up a lost run decides about it in the same moment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """What there is: all runs of a project, with their attempts and artifacts, and the whole audit log."""

    runs: Sequence[Run]
    executions: Mapping[str, Sequence[Execution]]
    artifacts: Mapping[str, Sequence[Artifact]]
    events: Sequence[AuditEvent]


@dataclass(frozen=True, slots=True, kw_only=True)
class Promised:
    """What somebody was told.

    Attributes:
        submissions: Run id by the label of each acknowledged submission.
        ends: State by run id of each acknowledged end.
        reasons: What failed runs may be blamed on.
        settled: Whether everything has had the time to end.
    """

    submissions: Mapping[str, str] = field(default_factory=dict)
    ends: Mapping[str, RunState] = field(default_factory=dict)
    reasons: frozenset[FailureReason] = CRASH_REASONS
    settled: bool = True


def broken_invariants(observed: Observed, promised: Promised) -> list[str]:
    """Check everything and describe what does not hold.

    Returns:
        One sentence for each violation, which begins with the invariant's number; empty when all is well.
    """
    fault = first_fault(list(observed.events))
    broken = [f"I4: the chain breaks at {fault.sequence}: {fault.fault}"] if fault else []
    broken += _lost_or_doubled(observed.runs, promised)
    story = Story.of(observed.events)
    for run in observed.runs:
        broken += story.contradictions(run)
        broken += _attempts(run, observed.executions[run.run_id], observed.artifacts[run.run_id])
        if promised.settled:
            broken += _ended(run, observed.artifacts[run.run_id], promised)
    unknown = story.states.keys() - {f"run:{run.run_id}" for run in observed.runs}
    return broken + [f"I3: the audit log tells of {name}, which is not there" for name in sorted(unknown)]


def _lost_or_doubled(runs: Sequence[Run], promised: Promised) -> Iterator[str]:
    states = {run.run_id: run.state for run in runs}
    for label, run_id in promised.submissions.items():
        if run_id not in states:
            yield f"I1: submission {label} was acknowledged as {run_id}, which is gone"
    for run_id, state in promised.ends.items():
        if states.get(run_id) is not state:
            yield f"I1: the end of {run_id} as {state} was acknowledged, and it is {states.get(run_id)}"
    for label, count in Counter(run.labels["submission"] for run in runs if "submission" in run.labels).items():
        if count > 1:
            yield f"I2: submission {label} became {count} runs"


@dataclass(frozen=True, slots=True)
class Story:
    """What the audit log says of runs: the state each was left in, and what cannot have happened."""

    states: dict[str, str]
    faults: dict[str, list[str]]

    @classmethod
    def of(cls, events: Sequence[AuditEvent]) -> Story:
        """Read a log from its beginning."""
        story = cls({}, {})
        for event in events:
            story._read(decode_json(event.record, AuditRecord))
        return story

    def _read(self, record: AuditRecord) -> None:
        name, facts = record.resource, record.details
        if record.action is Action.RUN_CREATED:
            if name in self.states:
                self._note(name, f"I3: {name} was created twice")
            self.states[name] = facts["state"]
        elif "from" in facts and name.startswith("run:"):
            before, after = RunState(facts["from"]), RunState(facts["to"])
            if self.states.get(name) != before:
                self._note(name, f"I3: {name} went from {before} to {after}, and was {self.states.get(name)}")
            if (before, after) not in REACHABLE:
                self._note(name, f"I5: {name} went from {before} to {after}")
            self.states[name] = after

    def _note(self, name: str, fault: str) -> None:
        self.faults.setdefault(name, []).append(fault)

    def contradictions(self, run: Run) -> list[str]:
        """Return what the log says of a run that cannot be, or is not so."""
        name = f"run:{run.run_id}"
        told = self.states.get(name)
        wrong = [] if told == run.state else [f"I3: {name} is {run.state}, and the audit log left it {told}"]
        return self.faults.get(name, []) + wrong


def _attempts(run: Run, executions: Sequence[Execution], artifacts: Sequence[Artifact]) -> Iterator[str]:
    live = [execution for execution in executions if execution.state in LIVE]
    if len(live) != (run.state in ACTIVE):
        yield f"I6: run {run.run_id} is {run.state}, and {len(live)} attempts hold it"
    if any(execution.epoch != run.epoch for execution in live):
        yield f"I6: run {run.run_id} is held under an older epoch"
    for number in ("epoch", "attempt"):
        if len({getattr(execution, number) for execution in executions}) != len(executions):
            yield f"I6: run {run.run_id} has two attempts of one {number}"
    if sum(execution.state is ExecutionState.ENDED for execution in executions) > 1:
        yield f"I6: run {run.run_id} was ended by two attempts"
    if artifacts and (run.state not in TERMINAL_STATES or any(each.attempt != run.attempt for each in artifacts)):
        yield f"I6: run {run.run_id} shows artifacts of an attempt that did not commit"


def _ended(run: Run, artifacts: Sequence[Artifact], promised: Promised) -> Iterator[str]:
    if run.state not in TERMINAL_STATES:
        yield f"I7: run {run.run_id} is stuck: {run.state}"
    if run.state is RunState.SUCCEEDED and not any(artifact.kind == "notebook" for artifact in artifacts):
        yield f"I6: run {run.run_id} succeeded without its executed notebook"
    if run.state is RunState.FAILED and (run.failure is None or run.failure.reason not in promised.reasons):
        yield f"I15: run {run.run_id} blames {run.failure} for a fault of ours"
