# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run changes by compare-and-set on its version and not at all once it has ended; its plan is written with it.

A plan repeats its lock's requirements and its dataset versions' files, which are long and never change. They are stored
once, where they belong, and put back when the plan is read; the plan's digest, checked by the runner, covers them. An
artifact is one short file entry, which stays in the plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from sqlalchemy import bindparam, func, select, update

from animus_contracts.identifiers import ProjectId, RunId
from animus_contracts.plans import Plan, PlannedInput
from animus_contracts.runs import Progress, Run, RunState
from animus_control.domain.queue import cpus_milli, due_at, shape_of
from animus_control.storage.prepared import Prepared
from animus_control.storage.repositories.datasets import DATASET_VERSIONS
from animus_control.storage.repositories.environments import ENVIRONMENT_LOCKS
from animus_control.storage.repositories.records import Layout, ReadableTable
from animus_control.storage.run_tables import NOT_ENDED, plans, runs
from animus_control.storage.session import Session

CHANGING = (
    "state", "version", "attempt", "epoch", "limitations", "progress", "queued_at", "started_at", "finished_at",
    "failure",
)  # fmt: skip
LAYOUT = Layout[Run](runs, changing=CHANGING)
PLANS = Layout[Plan](plans)
_KEY = (runs.c.project_id == bindparam("project"), runs.c.run_id == bindparam("run"))
_UPDATE = Prepared(
    update(runs)
    .where(*_KEY, runs.c.version == bindparam("expected_version"), NOT_ENDED)
    .values({name: bindparam(f"new_{name}") for name in (*CHANGING, "due_at")})
)
_PROGRESS = Prepared(update(runs).where(*_KEY, NOT_ENDED).values(progress=bindparam("new_progress")))
_COUNT = Prepared(select(runs.c.state, func.count().label("runs")).group_by(runs.c.state))


class RunTable(ReadableTable[Run]):
    """Runs, with their plans."""

    __slots__ = ()

    def __init__(self, session: Session) -> None:
        super().__init__(session, LAYOUT)

    def add_with_plan(self, run: Run, plan: Plan) -> None:
        """Store a new run and what it executes."""
        self._session.change(LAYOUT.insert, LAYOUT.row(run, **_origin(run), **_queueing(run, plan)))
        self._session.change(PLANS.insert, PLANS.row(_shortened(plan)))

    def plan(self, project_id: ProjectId, run_id: RunId) -> Plan:
        """Return what the run executes.

        Raises:
            LookupError: If there is no such run in the project.
        """
        return self._restored(self._record(PLANS, project_id, run_id))

    def compare_and_set(self, run: Run, *, expected_version: int) -> bool:
        """Replace the mutable part if the stored version is the expected one and the stored state is not terminal."""
        key = {"project": run.project_id, "run": run.run_id, "expected_version": expected_version}
        values = LAYOUT.changes(run) | key | {"new_due_at": due_at(run)}
        return self._session.change(_UPDATE, values) == 1

    def set_progress(self, project_id: ProjectId, run_id: RunId, progress: Progress) -> None:
        """Store how far a run is; a run that has ended stays as it is."""
        values = {"project": project_id, "run": run_id, "new_progress": progress}
        self._session.change(_PROGRESS, values, fact="runs.progress")

    def count_by_state(self) -> Mapping[RunState, int]:
        """Return how many runs are in each state that has any."""
        return {row.state: row.runs for row in self._session.all(_COUNT, {})}

    def _restored(self, plan: Plan) -> Plan:
        lock = self._record(ENVIRONMENT_LOCKS, plan.project_id, plan.environment.lock_id)
        inputs = [self._with_files(plan.project_id, planned) for planned in plan.inputs]
        environment = msgspec.structs.replace(plan.environment, requirements=lock.requirements)
        return msgspec.structs.replace(plan, environment=environment, inputs=inputs)

    def _with_files(self, project_id: ProjectId, planned: PlannedInput) -> PlannedInput:
        if planned.version_id is None:
            return planned
        version = self._record(DATASET_VERSIONS, project_id, planned.version_id)
        return msgspec.structs.replace(planned, files=version.files)

    def _record(self, layout: Layout[Any], project_id: ProjectId, record_id: str) -> Any:
        record = ReadableTable(self._session, layout).get(project_id, record_id)
        if record is None:
            raise LookupError(record_id)
        return record


def _origin(run: Run) -> dict[str, Any]:
    origin = run.origin
    return {"repeats": origin and origin.run_id, "relation": origin and origin.relation}


def _queueing(run: Run, plan: Plan) -> dict[str, Any]:
    """Return what the queue and the quotas need in columns of their own."""
    return {
        "platform": plan.environment.platform,
        "shape": shape_of(run),
        "cpus_milli": cpus_milli(run.resources.cpus),
        "memory_mib": run.resources.memory_mib,
        "gpus": run.resources.gpus,
        "held_until": run.not_before,
        "due_at": due_at(run),
    }


def _shortened(plan: Plan) -> Plan:
    return msgspec.structs.replace(
        plan,
        environment=msgspec.structs.replace(plan.environment, requirements=""),
        inputs=[
            msgspec.structs.replace(planned, files=[]) if planned.version_id is not None else planned
            for planned in plan.inputs
        ],
    )
