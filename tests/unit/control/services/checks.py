# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor that does tasks at a desk, and answers that it may give."""

from __future__ import annotations

from typing import Any

from animus_contracts.comparisons import Cause, CauseKind, Confidence, Match, OutputComparison, Tolerances
from animus_contracts.inspections import NotebookFindings
from animus_contracts.tasks import EndTask, LeaseTask, TaskLease, TaskResult, TaskState
from animus_control.domain.identity import Principal
from tests.unit.control.services.desk import LOCAL, Desk

FOUND = NotebookFindings(commit="0a" * 20, tree="1b" * 20)


def leased_task(desk: Desk, who: Principal = LOCAL) -> TaskLease | None:
    lease: TaskLease | None = desk.do(who, "tasks.lease", LeaseTask()).lease
    return lease


def end_task(desk: Desk, lease: TaskLease, result: TaskResult, who: Principal = LOCAL, **more: Any) -> TaskState:
    message = EndTask(attempt=more.pop("attempt", lease.attempt), result=result)
    state: TaskState = desk.do(who, "tasks.end", message, task=lease.task_id).state
    return state


def answer(desk: Desk, result: TaskResult) -> TaskLease:
    """Take the next task and answer it."""
    lease = leased_task(desk)
    assert lease is not None
    end_task(desk, lease, result)
    return lease


def a_verdict(verdict: Match = Match.IDENTICAL, **more: Any) -> OutputComparison:
    causes = [Cause(kind=CauseKind.CLOCK, confidence=Confidence.LIKELY, evidence="time.time()", cell_index=2, line=1)]
    values: dict[str, Any] = {
        "verdict": verdict,
        "artifacts": [],
        "cells": [],
        "cells_compared": 3,
        "cells_identical": 3 if verdict is Match.IDENTICAL else 2,
        "cells_equivalent": 0,
        "first_differing_cell": None if verdict is Match.IDENTICAL else 2,
        "causes": [] if verdict is Match.IDENTICAL else causes,
        "tolerances": Tolerances(),
    }
    return OutputComparison(**values | more)
