# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What the data plane is asked to look at, in the project of ``records_of_a_project``."""

from __future__ import annotations

from typing import Any

from animus_contracts.answers import AnswerState
from animus_contracts.comparisons import Comparison, Tolerances
from animus_contracts.identifiers import ComparisonId, InspectionId, LockId, PreflightId, RunId, TaskId
from animus_contracts.inspections import Inspection, InspectNotebook
from animus_contracts.preflights import Check, CheckName, CheckState, Preflight
from animus_contracts.runs import CodeRef, Run, SubmitRun
from animus_contracts.tasks import Task
from animus_control.services.ports import UnitOfWork
from tests.ports.records_of_a_project import NOW, PROJECT_ID, WHO, identifier

REPOSITORY, PATH = "https://git.example/a.git", "train.ipynb"


def an_inspection(number: int = 400, **more: Any) -> Inspection:
    values: dict[str, Any] = {
        "inspection_id": InspectionId(identifier(number)),
        "project_id": PROJECT_ID,
        "repository": REPOSITORY,
        "ref": "main",
        "path": PATH,
        "created_at": NOW,
        "created_by": WHO,
    }
    return Inspection(**values | more)


def a_preflight(number: int = 410, **more: Any) -> Preflight:
    values: dict[str, Any] = {
        "preflight_id": PreflightId(identifier(number)),
        "project_id": PROJECT_ID,
        "submission": SubmitRun(
            code=CodeRef(repository=REPOSITORY, commit="0a" * 20, path=PATH), environment_lock_id=LockId("lock")
        ),
        "created_at": NOW,
        "created_by": WHO,
        "inspection_id": InspectionId(identifier(400)),
        "decision": None,
        "state": AnswerState.PENDING,
        "checks": [Check(name=CheckName.COMMIT, state=CheckState.PENDING)],
        "ready": None,
    }
    return Preflight(**values | more)


def a_comparison(left: Run, right: Run, number: int = 420, **more: Any) -> Comparison:
    values: dict[str, Any] = {
        "comparison_id": ComparisonId(identifier(number)),
        "project_id": PROJECT_ID,
        "tolerances": Tolerances(),
        "created_at": NOW,
        "created_by": WHO,
        "verifies": RunId(right.run_id),
        "left_run_id": left.run_id,
        "right_run_id": right.run_id,
    }
    return Comparison(**values | more)


def a_task(number: int = 430, **more: Any) -> Task:
    request = InspectNotebook(inspection_id=InspectionId(identifier(400)), repository=REPOSITORY, ref="main", path=PATH)
    values: dict[str, Any] = {
        "task_id": TaskId(identifier(number)),
        "project_id": PROJECT_ID,
        "request": request,
        "created_at": NOW,
    }
    return Task(**values | more)


def add_checks(uow: UnitOfWork, left: Run, right: Run) -> None:
    """Store one of each; the runs are stored already."""
    uow.inspections.add(an_inspection())
    uow.preflights.add(a_preflight())
    uow.comparisons.add(a_comparison(left, right))
    uow.tasks.add(a_task())
