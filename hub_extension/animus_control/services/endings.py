# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An attempt ends once, by its executor's word; everything it produced becomes visible in that one unit of work.

Repeating the same end is harmless. A verdict that contradicts the facts is refused (bytes that were never uploaded,
promised outputs that are not there) or corrected (a policy that would not have allowed what was found).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from animus_contracts.artifacts import Artifact, ArtifactEntry
from animus_contracts.audit import Action
from animus_contracts.digests import Digest, digest_of
from animus_contracts.executions import EndExecution, Execution, ExecutionEnded, ExecutionState, Verdict
from animus_contracts.identifiers import ArtifactId
from animus_contracts.paths import path_fault
from animus_contracts.problems import Fault
from animus_contracts.runs import Failure, FailureReason, Limitation, Run
from animus_control.domain import lineage
from animus_control.domain.errors import ConflictError
from animus_control.domain.limits import Limits
from animus_control.domain.names import refuse
from animus_control.domain.runs import Move, advance, merged
from animus_control.services.admission import objection, policy_failure
from animus_control.services.calls import Call, audited
from animus_control.services.executions import held, owned, save
from animus_control.services.moves import store_move
from animus_control.services.operations import operation
from animus_control.services.ports import UnitOfWork
from animus_control.services.scope import require

MOVES = {Verdict.SUCCEEDED: Move.SUCCEED, Verdict.FAILED: Move.FAIL, Verdict.CANCELED: Move.CANCEL}


@operation("executions.end")
def end_execution(uow: UnitOfWork, call: Call, message: EndExecution) -> ExecutionEnded:
    """End an attempt and its run."""
    repeated = _repeated(uow, owned(uow, call), message)
    if repeated is not None:
        return repeated
    execution, run = held(uow, call, epoch=message.epoch)
    refuse(end_faults(message, run, call.limits))
    sizes = uow.objects.sizes(run.project_id, [entry.digest for entry in message.artifacts])
    refuse(_missing_bytes(message.artifacts, sizes), code="object_not_found", remedy="Upload the bytes first.")
    verdict, failure, limitations = _judged(uow, call, run, message)
    after = advance(run, MOVES[verdict], call.now, failure=failure, limitations=limitations)
    _store_products(uow, call, run, execution, message)
    ended = msgspec.structs.replace(execution, state=ExecutionState.ENDED, ended_at=call.now, verdict=verdict)
    save(uow, ended)
    uow.executions.set_end_event(execution.execution_id, message.event_id)
    uow.tokens.revoke(execution.execution_id)
    details = {
        "execution_id": execution.execution_id,
        "verdict": verdict,
        "reason": failure.reason if failure else None,
        "artifacts": len(message.artifacts),
        "manifest": digest_of(message.artifacts),
        "limitations": limitations,
    }
    store_move(uow, call, run, after, Action.EXECUTION_ENDED, details)
    return ExecutionEnded(state=after.state, duplicate=False)


def end_faults(message: EndExecution, run: Run, limits: Limits) -> list[Fault]:
    """Check that an end is complete in itself: a failure exactly when failed, sound names, promised outputs."""
    faults = []
    if (message.failure is not None) != (message.verdict is Verdict.FAILED):
        faults.append(Fault(path="$.failure", code="contradiction", message="must be given exactly when failed"))
    if not 0 < len(message.event_id) <= limits.label_characters:
        words = f"must be 1 to {limits.label_characters} characters"
        faults.append(Fault(path="$.event_id", code="invalid_event_id", message=words))
    if len(message.artifacts) > limits.artifacts:
        words = f"must be at most {limits.artifacts}, not {len(message.artifacts)}"
        return [*faults, Fault(path="$.artifacts", code="too_many", message=words)]
    for index, entry in enumerate(message.artifacts):
        if fault := path_fault(entry.name):
            faults.append(Fault(path=f"$.artifacts[{index}].name", code="invalid_path", message=fault))
    names = {entry.name for entry in message.artifacts}
    if len({(entry.kind, entry.name) for entry in message.artifacts}) != len(message.artifacts):
        faults.append(Fault(path="$.artifacts", code="duplicate_name", message="two of one kind have the same name"))
    absent = [name for name in run.outputs if name not in names] if message.verdict is Verdict.SUCCEEDED else []
    return faults + [
        Fault(path="$.artifacts", code="missing_output", message=f"the run promised {name!r}") for name in absent
    ]


def _repeated(uow: UnitOfWork, execution: Execution, message: EndExecution) -> ExecutionEnded | None:
    if execution.state is not ExecutionState.ENDED:
        return None
    if uow.executions.end_event(execution.execution_id) != message.event_id:
        raise ConflictError("stale_epoch", "The attempt has ended already, by another event.")
    run = require(uow.runs.get(execution.project_id, execution.run_id), "run")
    is_corrected = run.failure is not None and run.failure.reason is FailureReason.POLICY
    if execution.verdict is not message.verdict and not is_corrected:
        raise ConflictError("event_conflict", f"The attempt ended as {execution.verdict} by this very event.")
    return ExecutionEnded(state=run.state, duplicate=True)


def _missing_bytes(entries: Sequence[ArtifactEntry], held_sizes: Mapping[Digest, int]) -> list[Fault]:
    return [
        Fault(path=f"$.artifacts[{index}]", code="not_uploaded", message=f"{entry.name!r}: no such bytes were uploaded")
        for index, entry in enumerate(entries)
        if held_sizes.get(entry.digest) != entry.size_bytes
    ]


def _judged(
    uow: UnitOfWork, call: Call, run: Run, message: EndExecution
) -> tuple[Verdict, Failure | None, list[Limitation]]:
    found = message.provenance.limitations if message.provenance else []
    limitations = merged(run.limitations, found)
    denied = objection(uow, call, run, limitations) if message.verdict is Verdict.SUCCEEDED else None
    if denied is None:
        return message.verdict, message.failure, limitations
    uow.policy_decisions.add(denied)
    return Verdict.FAILED, policy_failure(denied), limitations


def _store_products(uow: UnitOfWork, call: Call, run: Run, execution: Execution, message: EndExecution) -> None:
    artifacts = [
        Artifact(
            artifact_id=ArtifactId(call.new_id()),
            project_id=run.project_id,
            run_id=run.run_id,
            attempt=execution.attempt,
            name=entry.name,
            kind=entry.kind,
            media_type=entry.media_type,
            digest=entry.digest,
            size_bytes=entry.size_bytes,
            created_at=call.now,
        )
        for entry in message.artifacts
    ]
    for artifact in artifacts:
        uow.artifacts.add(artifact)
        details = {"run_id": run.run_id, "name": artifact.name, "kind": artifact.kind, "digest": artifact.digest}
        resource = f"artifact:{artifact.artifact_id}"
        record = audited(call, Action.ARTIFACT_CREATED, resource, project_id=run.project_id, details=details)
        uow.audit.append(record)
    edges = lineage.of_artifacts(run, artifacts)
    if edges:
        uow.lineage.add(lineage.build_edges(edges, project_id=run.project_id, now=call.now, new_id=call.new_id))
    if message.provenance is not None:
        uow.executions.set_provenance(execution.execution_id, message.provenance)
