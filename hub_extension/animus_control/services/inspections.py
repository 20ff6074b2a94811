# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A notebook is looked at by the data plane; whoever waits for what is found is told in the same unit of work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from animus_contracts.answers import AnswerState
from animus_contracts.audit import Action
from animus_contracts.identifiers import InspectionId
from animus_contracts.inspections import CreateInspection, Inspection, InspectNotebook, NotebookFindings
from animus_contracts.tasks import Task, TaskFailed
from animus_control.domain.inspections import inspection_faults
from animus_control.domain.names import refuse
from animus_control.services.calls import Call, audited
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import by_id, project_of, require
from animus_control.services.tasks import KINDS, Kind, request_task

Hook = Callable[[UnitOfWork, Call, Inspection], None]

INSPECTED: list[Hook] = []
"""Each is called with an inspection that has just ended, by the call that ended it, which has no project."""

MOST_NAMES = 100
"""How many undefined names are kept of one notebook."""


def when_inspected(hook: Hook) -> Hook:
    """Register a function that waits for inspections."""
    INSPECTED.append(hook)
    return hook


@operation("inspections.create")
def create_inspection(uow: UnitOfWork, call: Call, message: CreateInspection) -> Inspection:
    """Ask the data plane to look at a notebook."""
    return request_inspection(uow, call, repository=message.repository, ref=message.ref, path=message.path)


@operation("inspections.read")
def read_inspection(uow: UnitOfWork, call: Call, message: None) -> Inspection:  # noqa: ARG001 - every operation has a message
    """Return an inspection."""
    return by_id(call, uow.inspections, "inspection", "inspection")


def request_inspection(uow: UnitOfWork, call: Call, *, repository: str, ref: str, path: str) -> Inspection:
    """Ask for a look at a notebook in the call's project.

    Args:
        uow: The unit of work.
        call: Who asks.
        repository: Address of the repository.
        ref: Branch, tag or full commit id.
        path: Path of the notebook.

    Raises:
        InvalidError: ``invalid_request`` with every fault.
    """
    refuse(inspection_faults(repository, ref, path, call.limits))
    inspection = Inspection(
        inspection_id=InspectionId(call.new_id()),
        project_id=project_of(call).project_id,
        repository=repository,
        ref=ref,
        path=path,
        created_at=call.now,
        created_by=call.principal.subject,
    )
    uow.inspections.add(inspection)
    request = InspectNotebook(inspection_id=inspection.inspection_id, repository=repository, ref=ref, path=path)
    request_task(uow, call, inspection.project_id, request)
    details = {"repository": repository, "ref": ref, "path": path}
    _audit(uow, call, Action.INSPECTION_CREATED, inspection, details)
    return inspection


def _settle(uow: UnitOfWork, call: Call, task: Task, result: NotebookFindings | TaskFailed) -> None:
    found = uow.inspections.get(task.project_id, task.request.inspection_id)  # type: ignore[union-attr]  # its own kind
    inspection = require(found, "inspection")
    if isinstance(result, TaskFailed):
        ended = msgspec.structs.replace(inspection, state=AnswerState.FAILED, failure=result.reason, ended_at=call.now)
        details: dict[str, Any] = {"failure": result.reason}
    else:
        findings = msgspec.structs.replace(result, undefined_names=result.undefined_names[:MOST_NAMES])
        ended = msgspec.structs.replace(inspection, state=AnswerState.ANSWERED, findings=findings, ended_at=call.now)
        details = {"commit": result.commit, "problem": result.problem.reason if result.problem else None}
    uow.inspections.save(ended)
    _audit(uow, call, Action.INSPECTION_ENDED, ended, details)
    for hook in INSPECTED:
        hook(uow, call, ended)


def _audit(uow: UnitOfWork, call: Call, action: Action, inspection: Inspection, details: dict[str, Any]) -> None:
    resource = f"inspection:{inspection.inspection_id}"
    uow.audit.append(audited(call, action, resource, project_id=inspection.project_id, details=details))


KINDS[InspectNotebook] = Kind(answer=NotebookFindings, settle=_settle)
