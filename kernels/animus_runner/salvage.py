# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A supervisor was killed, or gave up: another one delivers what it left, and executes nothing.

What was settled keeps its verdict. What was not failed, and what it had until then is kept: its events, the notebook
and the log as far as they came, the files in its outputs and those that it logged. A notebook that was torn in the
middle is left out.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from animus_contracts.assignments import GIVEN_UP_FILE, SUPERVISOR_LOG, Assignment, AttemptResult
from animus_contracts.decoding import decode_json
from animus_contracts.executions import Verdict
from animus_contracts.runs import Failure, FailureReason
from animus_runner.artifacts import Produced, collect_outputs, distinct, logged_in
from animus_runner.control_plane import ControlPlane
from animus_runner.progress import Progress
from animus_runner.publishing import EXECUTED_FILE, Settled, deliver, records, settle, settled_in
from animus_runner.redact import Redactor
from animus_runner.spool import EVENTS_FILE, Spool
from animus_runner.workspace import LOGGED, OUTPUTS

LOG_BYTES = 4096


def salvage(assignment: Assignment, control_plane: ControlPlane) -> AttemptResult:
    """Deliver what an attempt left in its folder.

    Returns:
        What was settled; else a failure, with everything that could be kept.
    """
    run = Path(assignment.run_folder)
    with Spool(run / EVENTS_FILE) as spool, Progress(assignment.epoch, control_plane.report, spool):
        settled = settled_in(run) or _settle_remains(assignment, run)
        return deliver(settled, control_plane.put_object, patience=assignment.offline_seconds)


def _settle_remains(assignment: Assignment, run: Path) -> Settled:
    _drop_what_is_torn(run / EXECUTED_FILE)
    name = Path(assignment.plan.code.path).name
    remains = [*records(run, name, Redactor(assignment.secret_digests)), *_files(run)]
    return settle(run, AttemptResult(verdict=Verdict.FAILED, failure=_given_up(run) or _killed(run)), remains)


def _given_up(run: Path) -> Failure | None:
    with suppress(OSError, msgspec.DecodeError):
        return decode_json((run / GIVEN_UP_FILE).read_bytes(), Failure)
    return None


def _killed(run: Path) -> Failure:
    log = run / SUPERVISOR_LOG
    said = log.read_bytes()[-LOG_BYTES:].decode(errors="replace") if log.exists() else ""
    return Failure(
        reason=FailureReason.KILLED,
        summary="The run's supervisor was killed.",
        detail=said or "It said nothing. What the run had told and written until then is kept.",
        remedy="Submit the run again; if it happens again, tell the operator of the executor.",
    )


def _drop_what_is_torn(executed: Path) -> None:
    try:
        msgspec.json.decode(executed.read_bytes())
    except (FileNotFoundError, msgspec.DecodeError):
        executed.unlink(missing_ok=True)


def _files(run: Path) -> list[Produced]:
    outputs, _ = collect_outputs(run / OUTPUTS)
    return distinct(outputs, logged_in(run / LOGGED))
