# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What must hold after every campaign, whatever was killed: one checker for all of them.

It reads through the public API only, so what it proves is what an auditor could see.
"""

from __future__ import annotations

from collections import Counter

import msgspec

from animus.api import pages
from animus.client import Client
from animus_contracts.audit import Action, AuditEvent, AuditRecord, first_fault
from animus_contracts.pages import MAX_LIMIT, ListQuery
from animus_contracts.runs import TERMINAL_STATES, FailureReason, Run, RunState

# What a crash of our own processes may be blamed on; anything else would blame the user for it.
CRASH_REASONS = frozenset({FailureReason.INFRASTRUCTURE, FailureReason.KILLED, FailureReason.ENVIRONMENT})


def broken_invariants(client: Client, acknowledged: dict[str, str]) -> list[str]:
    """Check everything and describe what does not hold.

    Args:
        client: Acts for a platform administrator, in the campaign's project.
        acknowledged: Run id by the label under which each submission was acknowledged.

    Returns:
        One sentence for each violation; empty when all is well.
    """
    runs = list(client.runs.list())
    events = chain(client)
    broken = [f"the chain breaks at {fault.sequence}: {fault.fault}"] if (fault := first_fault(events)) else []
    broken += _lost_or_doubled(runs, acknowledged)
    for run in runs:
        broken += _one_run(client, run)
    broken += _changes_without_exactly_one_event(runs, events)
    return broken


def chain(client: Client) -> list[AuditEvent]:
    """Return the whole audit log, oldest first."""
    return list(pages(client.transport, "audit_chain.read", ListQuery(limit=MAX_LIMIT)))


def _lost_or_doubled(runs: list[Run], acknowledged: dict[str, str]) -> list[str]:
    by_label = Counter(run.labels["submission"] for run in runs)
    ids = {run.run_id for run in runs}
    lost = [f"the acknowledged run {run_id} is gone" for run_id in acknowledged.values() if run_id not in ids]
    doubled = [f"submission {label} became {count} runs" for label, count in by_label.items() if count > 1]
    return lost + doubled


def _one_run(client: Client, run: Run) -> list[str]:
    if run.state not in TERMINAL_STATES:
        return [f"run {run.run_id} is stuck in {run.state}"]
    broken = []
    artifacts = list(client.artifacts.list(run.run_id))
    if run.state is RunState.SUCCEEDED and not any(artifact.kind == "notebook" for artifact in artifacts):
        broken.append(f"run {run.run_id} succeeded without its executed notebook")
    if run.state is RunState.FAILED and (run.failure is None or run.failure.reason not in CRASH_REASONS):
        broken.append(f"run {run.run_id} blames {run.failure} for a crash of ours")
    if any(artifact.attempt != run.attempt for artifact in artifacts):
        broken.append(f"run {run.run_id} shows artifacts of an attempt that did not commit")
    executions = client.runs.explain(run.run_id).executions
    if len({execution.epoch for execution in executions}) != len(executions):
        broken.append(f"run {run.run_id} has two attempts of one epoch")
    if sum(execution.verdict is not None for execution in executions) > 1:
        broken.append(f"run {run.run_id} has two verdicts")
    return broken


def _changes_without_exactly_one_event(runs: list[Run], events: list[AuditEvent]) -> list[str]:
    endings: Counter[str] = Counter()
    creations: Counter[str] = Counter()
    for event in events:
        record = msgspec.json.decode(event.record, type=AuditRecord)
        creations[record.resource] += record.action is Action.RUN_CREATED
        endings[record.resource] += record.details.get("to") in TERMINAL_STATES
    return [
        f"{what} of run {run.run_id} has {counts[f'run:{run.run_id}']} audit events"
        for what, counts in (("the creation", creations), ("the end", endings))
        for run in runs
        if counts[f"run:{run.run_id}"] != 1
    ]
