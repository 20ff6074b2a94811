# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Execute one notebook in a sandboxed kernel of its environment, and say truthfully how it went.

papermill's own code prepares the notebook, records its progress and marks its errors; the engine is ours
(:mod:`animus_runner.engine`). Whatever happens, the output notebook holds all that was seen, and the kernel and
everything it started are gone when :func:`execute` returns.
"""

from __future__ import annotations

import contextlib
import time

from nbformat import NotebookNode

from animus_contracts.executions import Verdict
from animus_contracts.runs import Failure
from animus_runner.imports import looking_absent

with looking_absent("pyarrow"):  # papermill would load it for Hadoop, which no run uses: half a second and a thread
    from papermill.engines import papermill_engines
    from papermill.exceptions import PapermillExecutionError
    from papermill.execute import prepare_notebook_metadata, raise_for_execution_errors, remove_error_markers

from animus_runner import failures, injection, notebook_files
from animus_runner.cells import Deadlines, StoppedError
from animus_runner.engine import Observer, Session
from animus_runner.exits import FailedError
from animus_runner.failures import Place
from animus_runner.kernels import Kernel, KernelDiedError, KernelEnd, own_parent
from animus_runner.limits import MIB
from animus_runner.notebook_assignment import Cancellation, NotebookAssignment, Outcome

__all__ = ["Observer", "execute"]

LOG_BYTES = 4096


def execute(assignment: NotebookAssignment, observer: Observer, canceled: Cancellation) -> Outcome:
    """Execute a notebook.

    Args:
        assignment: What to execute, with what, where.
        observer: Takes every event as it happens, in order, from this thread; ``sequence`` is 0.
        canceled: Ends the run gently when requested: the cell is interrupted, then the kernel is killed.

    Returns:
        How it went. The executed notebook is at ``assignment.output`` unless the notebook could not be read.
    """
    stop_at = time.monotonic() - assignment.spent_seconds + assignment.resources.wall_seconds
    with contextlib.ExitStack() as held:
        try:
            notebook = notebook_files.load(assignment.notebook)
            origins = {id(cell): index for index, cell in enumerate(notebook.cells)}
            injection.verify_parameters(notebook, assignment.parameters, assignment.parameters_schema_digest)
            kernel = held.enter_context(_kernel(assignment, held))
        except FailedError as error:
            return _outcome(assignment, None, error.failure)
        except KernelDiedError as error:
            return _outcome(assignment, None, _of_end(error.end, None, assignment))
        _prepare(notebook, assignment)
        session = Session(
            kernel=kernel,
            observer=observer,
            canceled=canceled.fileno(),
            deadlines=Deadlines(run=stop_at, cell_seconds=assignment.cell_seconds),
            origins=origins,
        )
        failure, is_canceled = _run(notebook, session, assignment)
        return _outcome(assignment, kernel, failure, is_canceled=is_canceled)


def _kernel(assignment: NotebookAssignment, held: contextlib.ExitStack) -> Kernel:
    """Ask the environment's kernel parent for a kernel, or a parent of our own when that one went with its executor."""
    request = assignment.kernel_request()
    with contextlib.suppress(KernelDiedError):
        return Kernel(assignment.kernel_parent, request)
    return Kernel(held.enter_context(own_parent(str(assignment.python))), request)


def _prepare(notebook: NotebookNode, assignment: NotebookAssignment) -> None:
    """Inject the parameters, record the file's name, and drop the error markers of an earlier run."""
    injection.inject(notebook, assignment.parameters)
    prepare_notebook_metadata(notebook, assignment.notebook.name, assignment.notebook.name)
    remove_error_markers(notebook)


def _run(notebook: NotebookNode, session: Session, assignment: NotebookAssignment) -> tuple[Failure | None, bool]:
    """Run the engine; return why it failed, and whether it was canceled."""
    memory = assignment.resources.memory_mib * MIB
    failure, is_canceled = None, False
    try:
        papermill_engines.execute_notebook_with_engine(
            "animus", notebook, kernel_name="python3", output_path=str(assignment.output), session=session
        )
        if session.failed:
            failure = failures.of_reply(session.failed, session.place or Place(), memory)
    except KernelDiedError as error:
        failure = _of_end(error.end, session.place, assignment)
    except StoppedError as stop:
        is_canceled = not stop.is_timeout
        limit = assignment.cell_seconds if stop.is_of_cell else None
        if stop.is_timeout:
            failure = failures.of_timeout(session.place, assignment.resources.wall_seconds, cell_seconds=limit)
    if failure or is_canceled:  # errors that were expected (tagged raises-exception) are not marked
        with contextlib.suppress(PapermillExecutionError):  # it marks the error in the notebook; we have the reason
            raise_for_execution_errors(notebook, str(assignment.output))
    return failure, is_canceled


def _of_end(end: KernelEnd, place: Place | None, assignment: NotebookAssignment) -> Failure:
    with contextlib.suppress(OSError), assignment.log.open("rb") as file:
        file.seek(max(0, assignment.log.stat().st_size - LOG_BYTES))
        return failures.of_end(end, place, assignment.resources.memory_mib * MIB, file.read().decode(errors="replace"))
    return failures.of_end(end, place, assignment.resources.memory_mib * MIB, "")


def _outcome(
    assignment: NotebookAssignment, kernel: Kernel | None, failure: Failure | None, *, is_canceled: bool = False
) -> Outcome:
    facts = end = None
    if kernel is not None:
        end = kernel.wait_for_end(0)
        facts = kernel.facts
    verdict = Verdict.CANCELED if is_canceled else Verdict.FAILED if failure else Verdict.SUCCEEDED
    return Outcome(
        verdict=verdict,
        failure=None if is_canceled else failure,
        facts=facts,
        peak_memory_mib=round(end.peak_memory / MIB, 1) if end and end.peak_memory else None,
        limitations=facts.limitations if facts else [],
        environment=assignment.determinism(),
    )
