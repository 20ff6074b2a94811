# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""How policies, approvals and schedules look: columns of tables, and the longer answers section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

from animus.verbs.schedules import ScheduleStory
from animus_contracts.approvals import Approval, ProjectApproval
from animus_contracts.policies import Policy
from animus_contracts.schedules import Firing, Schedule
from animus_contracts.simulations import SimulatedChange, Simulation

Section = tuple[str, list[str]]


def _optional(value: Any) -> Any:
    return "" if value is None else value


def _of_approval(column: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda it: column(it.approval)


APPROVAL: dict[str, Callable[[Any], Any]] = {
    "run": lambda it: it.run_id,
    "state": lambda it: it.state,
    "wanted for": lambda it: it.requested_by,
    "why": lambda it: it.reason,
    "asked": lambda it: it.requested_at,
    "until": lambda it: it.expires_at,
    "decided by": lambda it: _optional(it.decided_by),
    "comment": lambda it: it.comment,
}
COLUMNS: Mapping[type, Mapping[str, Callable[[Any], Any]]] = {
    Policy: {
        "policy": lambda it: it.name,
        "version": lambda it: it.version,
        "state": lambda it: it.state,
        "description": lambda it: it.description,
        "stored": lambda it: it.created_at,
        "by": lambda it: it.created_by,
    },
    Approval: APPROVAL,
    ProjectApproval: {
        "project": lambda it: it.project,
        **{name: _of_approval(column) for name, column in APPROVAL.items()},
    },
    Schedule: {
        "schedule": lambda it: it.name,
        "state": lambda it: it.state,
        "when": lambda it: f"{it.cron} {it.time_zone}",
        "notebook": lambda it: it.submission.code.path,
        "at": lambda it: it.ref or it.submission.code.commit[:12],
        "next": lambda it: _optional(it.next_at),
        "in the name of": lambda it: it.created_by,
    },
    Firing: {
        "due": lambda it: it.due_at,
        "state": lambda it: it.state,
        "run": lambda it: _optional(it.run_id),
        "commit": lambda it: it.commit_id[:12],
        "why": lambda it: it.reason,
    },
}


def of_policy(policy: Policy) -> Iterator[Section]:
    """Yield a policy's facts, then its text."""
    facts = [f"version {policy.version}, {policy.state}, stored by {policy.created_by} at {_when(policy.created_at)}"]
    yield policy.name, [*facts, *filter(None, [policy.description]), policy.digest]
    yield "Cedar", policy.cedar.splitlines()


def of_schedule(story: ScheduleStory) -> Iterator[Section]:
    """Yield a schedule, when it is due next, and what became of the last times."""
    schedule = story.schedule
    code = schedule.submission.code
    yield (
        schedule.name,
        [
            f"{schedule.state}: {schedule.cron} ({schedule.time_zone}), in the name of {schedule.created_by}",
            f"{code.path} at {f'the branch {schedule.ref}' if schedule.ref else code.commit}",
            f"while the previous run lasts: {schedule.overlap}; after an outage: {schedule.catch_up}",
        ],
    )
    yield "Next", [_when(moment) for moment in schedule.upcoming]
    yield (
        "Last",
        [
            "  ".join(
                filter(None, (_when(firing.due_at), firing.state, firing.run_id, firing.commit_id[:12], firing.reason))
            )
            for firing in story.firings
        ],
    )


def of_simulation(simulation: Simulation) -> Iterator[Section]:
    """Yield how many submissions were judged, and which would have been decided otherwise."""
    told = [f"{simulation.judged} submissions judged, {simulation.unchanged} as before"]
    if simulation.truncated:
        told.append("there were more; raise --limit or shorten --since")
    if simulation.completed:
        told.append(f"{simulation.completed} lack facts that submissions have had since; taken as not asked for")
    yield "Simulation", told
    groups = {
        "Newly refused": simulation.newly_refused,
        "Newly allowed": simulation.newly_allowed,
        "Would wait for an approval": simulation.needs_approval,
    }
    for title, changes in groups.items():
        if changes:
            yield f"{title} ({len(changes)})", [_change(change) for change in changes]


TOLD: Mapping[type, Callable[[Any], Iterator[Section]]] = {
    Policy: of_policy,
    ScheduleStory: of_schedule,
    Simulation: of_simulation,
}


def _change(change: SimulatedChange) -> str:
    what = f"run {change.run_id}" if change.run_id else "refused submission"
    judged = f"{change.before} → {change.after}  {change.reason}  ({', '.join(change.deciding) or 'default deny'})"
    return f"{_when(change.created_at)}  {what}  {change.created_by}  {judged}"


def _when(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
