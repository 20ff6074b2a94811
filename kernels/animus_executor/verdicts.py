# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The verdict on an attempt is reported under one event id until the control plane has answered.

An epoch that is stale by then is refused there; what is refused for what it says becomes a failure that says so,
because nobody shall wait for a run because of what it left.
"""

from __future__ import annotations

import logging
import time
from typing import Protocol

from animus_contracts.assignments import AttemptResult
from animus_contracts.executions import EndExecution, ExecutionEnded, Verdict
from animus_contracts.identifiers import ExecutionId
from animus_contracts.runs import Failure, FailureReason
from animus_executor.control_plane import ProtocolError, RefusedError, UnreachableError

log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0


class Ends(Protocol):
    """Who takes verdicts."""

    def end(self, execution_id: str, message: EndExecution) -> ExecutionEnded:
        """End an attempt."""


def report(
    control_plane: Ends, execution_id: ExecutionId, epoch: int, result: AttemptResult, *, patience: float
) -> None:
    """Report an end, and that it was refused if it was; nothing is said of an attempt that is not ours any more."""
    if refusal := end_patiently(control_plane, execution_id, epoch, result, patience=patience):
        summary = "The control plane did not accept what the run left."
        result = failed(FailureReason.INFRASTRUCTURE, summary, detail=refusal)
        end_patiently(control_plane, execution_id, epoch, result, patience=patience)


def end_patiently(
    control_plane: Ends, execution_id: ExecutionId, epoch: int, result: AttemptResult, *, patience: float
) -> str:
    """Report an end until it is answered, or ``patience`` seconds have passed.

    Returns:
        Why the control plane refused the report, although the attempt is still ours; else nothing.
    """
    message = EndExecution(
        event_id=f"{execution_id}.{epoch}.end",
        epoch=epoch,
        verdict=result.verdict,
        artifacts=result.artifacts,
        provenance=result.provenance,
        failure=result.failure,
    )
    deadline = time.monotonic() + patience
    pause = FIRST_PAUSE
    while time.monotonic() < deadline:
        try:
            control_plane.end(execution_id, message)
        except UnreachableError as error:
            if pause == FIRST_PAUSE:  # an outage is told once, however many wait for its end
                log.warning("end of %s was not answered: %s", execution_id, error)
            time.sleep(pause)
            pause = min(pause * 2, LONGEST_PAUSE)
        except ProtocolError as error:
            log.warning("end of %s (%s) was refused: %s", execution_id, result.verdict, error)
            return str(error) if isinstance(error, RefusedError) else ""
        else:
            return ""
    log.error("end of %s (%s) was never answered", execution_id, result.verdict)
    return ""


def failed(reason: FailureReason, summary: str, *, detail: str = "", remedy: str = "") -> AttemptResult:
    """Build the result of an attempt that failed outside of its notebook."""
    remedy = remedy or "Submit the run again; if it happens again, tell the operator of the executor."
    failure = Failure(reason=reason, summary=summary, detail=detail, remedy=remedy)
    return AttemptResult(verdict=Verdict.FAILED, failure=failure)
