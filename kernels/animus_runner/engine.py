# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The papermill engine ``animus``: events while cells run, few saves, a kernel over unix sockets.

papermill saves and validates twice per cell, which makes its time grow with the square of the notebook. Here a
running notebook is saved when the last save is long enough ago, and once more at the end. ``papermill --engine animus``
works too, with a kernel of its own without sandbox and limits.

papermill loads this module while it is itself being imported: it must be imported after papermill, and may use
nothing of papermill but ``papermill.engines``.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from nbformat import NotebookNode
from papermill.engines import Engine, NotebookExecutionManager

from animus_contracts.run_events import CellEnded, CellStarted, ExecutionEvent, NotebookStarted
from animus_runner.cells import Cells, Deadlines, StoppedError
from animus_runner.failures import Place
from animus_runner.kernels import Kernel, own_parent, plain_request
from animus_runner.notebook_assignment import Cancellation
from animus_runner.notebook_files import save

Observer = Callable[[ExecutionEvent], None]
SAVE_SECONDS = 2.0
PATIENCE = 20
"""A save may take at most one part in so many of the time."""

SKIP_TAG = "skip-execution"


class SavingManager(NotebookExecutionManager):  # type: ignore[misc] # papermill has no types
    """papermill's record of a notebook's progress, saved now and then instead of always."""

    def __init__(self, notebook: NotebookNode, output: Path | None) -> None:
        super().__init__(notebook, output_path=str(output) if output else None, progress_bar=False)
        self._next_save = 0.0

    def save(self, **_: Any) -> None:
        """Save when it is time to."""
        if self.output_path and time.monotonic() >= self._next_save:
            self.save_now()

    def autosave_cell(self) -> None:
        """Save in the middle of a cell when it is time to."""
        self.save()

    def save_now(self) -> None:
        """Save, and let the next save wait longer the longer this one took."""
        started = time.monotonic()
        if self.output_path:
            save(self.nb, Path(self.output_path))
        ended = time.monotonic()
        self._next_save = ended + max(SAVE_SECONDS, PATIENCE * (ended - started))

    def notebook_complete(self, **kwargs: Any) -> None:
        """Close the record and save it."""
        self._next_save = float("inf")
        super().notebook_complete(**kwargs)
        self.save_now()


@dataclass(slots=True, kw_only=True)
class Session:
    """What the engine needs of one execution, and what it learns about it.

    Attributes:
        kernel: The kernel to use, being started or bound.
        observer: Takes events.
        canceled: Descriptor that becomes readable when the run is to be canceled.
        deadlines: When the time is over.
        origins: Position of every cell of the committed notebook, by the cell's identity.
        place: Where the notebook is; None before the first cell.
        failed: The kernel's reply to the cell that failed, if one did.
    """

    kernel: Kernel
    observer: Observer
    canceled: int
    deadlines: Deadlines
    origins: dict[int, int] = field(default_factory=dict)
    place: Place | None = None
    failed: dict[str, Any] | None = None


class AnimusEngine(Engine):  # type: ignore[misc] # papermill has no types
    """The papermill engine: events while cells run, few saves, a kernel over unix sockets."""

    @classmethod
    def execute_notebook(
        cls, nb: NotebookNode, kernel_name: str, output_path: str | None = None, **options: Any
    ) -> NotebookNode:
        """Execute a notebook; called by papermill."""
        manager = SavingManager(nb, Path(output_path) if output_path else None)
        manager.notebook_start()
        try:
            cls.execute_managed_notebook(manager, kernel_name, **options)
        finally:
            manager.notebook_complete()
        done: NotebookNode = manager.nb
        return done

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: SavingManager, kernel_name: str, *, session: Session | None = None, **_: Any
    ) -> None:
        """Execute a notebook in the session's kernel, or in one of the named kernelspec."""
        if session is not None:
            _execute_cells(nb_man, session)
            return
        python, request = plain_request(kernel_name)
        with own_parent(python) as address, Kernel(address, request) as kernel, Cancellation() as never:
            own = Session(
                kernel=kernel, observer=lambda _: None, canceled=never.fileno(), deadlines=Deadlines(run=float("inf"))
            )
            _execute_cells(nb_man, own)


def _execute_cells(manager: SavingManager, session: Session) -> None:
    if not session.kernel.wait_until_bound(session.canceled):
        raise StoppedError(is_timeout=False)
    with Cells(
        session.kernel,
        manager.nb,
        canceled=session.canceled,
        deadlines=session.deadlines,
        observe=session.observer,
        autosave=manager.autosave_cell,
    ) as cells:
        cells.begin()
        total = sum(map(_is_to_run, manager.nb.cells))
        session.observer(NotebookStarted(sequence=0, at=datetime.now(UTC), cells_total=total))
        number = 0
        for index, cell in enumerate(manager.nb.cells):
            manager.cell_start(cell, index)
            if _is_to_run(cell):
                if not _execute_cell(manager, session, cells, cell, index, number):
                    break
                number += 1
            else:
                manager.cell_complete(cell, index)
        cells.shut_down()


def _is_to_run(cell: NotebookNode) -> bool:
    return bool(cell.cell_type == "code" and cell.source.strip() and SKIP_TAG not in cell.metadata.get("tags", ()))


def _execute_cell(
    manager: SavingManager, session: Session, cells: Cells, cell: NotebookNode, index: int, number: int
) -> bool:
    """Run one cell, recorded for papermill and told to the observer; say whether to go on."""
    cell_id, began = cell.get("id", ""), time.monotonic()
    session.observer(CellStarted(sequence=0, at=datetime.now(UTC), cell_id=cell_id, cell_index=number))
    session.place = Place(cell_id=cell_id, cell_index=session.origins.get(id(cell)))
    status = "interrupted"
    try:
        reply = cells.run(cell, index)
        is_allowed = "raises-exception" in cell.metadata.get("tags", ())
        status = "ok" if reply.get("status") == "ok" or is_allowed else "error"
        if status == "error" and not _is_clean_exit(reply):
            session.failed = reply
        return status == "ok"
    finally:
        if status != "ok":
            manager.cell_exception(cell, index)
        manager.cell_complete(cell, index)
        seconds = time.monotonic() - began
        session.observer(
            CellEnded(
                sequence=0,
                at=datetime.now(UTC),
                cell_id=cell_id,
                cell_index=number,
                seconds=seconds,
                status=status,
            )
        )


def _is_clean_exit(reply: dict[str, Any]) -> bool:
    return reply.get("ename") == "SystemExit" and reply.get("evalue") in {"", "0"}  # as papermill decides it
