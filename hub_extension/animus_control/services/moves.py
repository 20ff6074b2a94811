# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A move of a run is told four times in one unit of work: by the run, the audit log, its live story and the outbox.

Only the states others wait for go to the outbox: created and ended. Who waits for a run's end is told in the same unit
of work, and of the run that repeats it; when that is known only later, they are told again then.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from animus_contracts.audit import Action
from animus_contracts.runs import TERMINAL_STATES, Run
from animus_control.domain.errors import ConflictError
from animus_control.services.calls import Call, audited
from animus_control.services.ports import UnitOfWork

STATE_EVENT = "run.state"
EVERY_QUEUE = "queue"
"""Channel on which all executors wait, whatever their platform."""

ENDED: list[Callable[[UnitOfWork, Call, Run], None]] = []
"""Each is called once, with a run that has just ended; one of them decides about its retry and tells the waiters."""

WAITERS: list[Callable[[UnitOfWork, Call, Run, Run | None], None]] = []
"""Each is called with a run that has ended and the run that repeats it by itself, if there is one.

As long as its retry is held none does, and all are called again once it is decided.
"""


def store_move(
    uow: UnitOfWork, call: Call, before: Run, after: Run, action: Action, details: Mapping[str, Any] | None = None
) -> Run:
    """Store a run that moved, if nobody else moved it meanwhile.

    Args:
        uow: The unit of work.
        call: Who moves it, and when.
        before: The run as it was read.
        after: The run after one or more moves.
        action: What the audit log calls it.
        details: Further facts for the audit log.

    Raises:
        ConflictError: ``invalid_transition`` when the stored run is no longer ``before``.
    """
    if not uow.runs.compare_and_set(after, expected_version=before.version):
        raise ConflictError("invalid_transition", "The run changed at this very moment; read it again.")
    facts = {"from": before.state, "to": after.state, "attempt": after.attempt, "epoch": after.epoch}
    resource = f"run:{after.run_id}"
    uow.audit.append(audited(call, action, resource, project_id=after.project_id, details={**facts, **(details or {})}))
    announce(uow, call, after)
    if after.state in TERMINAL_STATES:
        publish(uow, call, "run.finished", after)
        for note in ENDED:
            note(uow, call, after)
    return after


def tell_waiters(uow: UnitOfWork, call: Call, ended: Run, repetition: Run | None) -> None:
    """Tell who waits for the end of a run, and what repeats it."""
    for wait in WAITERS:
        wait(uow, call, ended, repetition)


def queue_of(platform: str) -> str:
    """Name the channel on which executors of a platform wait, so that a run wakes only those that could take it."""
    return f"queue:{platform}"


def announce(uow: UnitOfWork, call: Call, run: Run) -> None:
    """Add a run's state to its live story and wake those who follow it."""
    data = {
        "state": run.state,
        "version": run.version,
        "attempt": run.attempt,
        "progress": msgspec.to_builtins(run.progress),
        "failure": msgspec.to_builtins(run.failure),
    }
    uow.events.add(run.project_id, run.run_id, STATE_EVENT, call.now, data)
    uow.notify(f"run:{run.run_id}")
    uow.notify(f"project:{run.project_id}")


def publish(uow: UnitOfWork, call: Call, topic: str, run: Run) -> None:
    """Put a message about a run into the outbox: identifiers and states, never content."""
    payload = {
        "project_id": run.project_id,
        "run_id": run.run_id,
        "run_class": run.run_class,
        "state": run.state,
        "reason": run.failure.reason if run.failure else None,
    }
    uow.outbox.add(topic, run.run_id, payload, call.now)
