# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is known of a run while it happens: events are folded into one picture that every display draws from.

Folding is pure and harmless to repeat: an event that was folded already changes nothing. Text that user code wrote
stays text: control sequences are removed, and a line that was overwritten (a progress bar) shows its last state.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from animus_contracts.decoding import convert
from animus_contracts.run_events import RunEvent
from animus_contracts.runs import TERMINAL_STATES, Failure, Run, RunState

LOG_LINES = 200
CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
)


def plain(text: str) -> str:
    """Return a text without the control sequences that a terminal would act on."""
    return CONTROL.sub("", text)


def approval_told(data: dict[str, Any]) -> str:
    """Say in one line what an approval waits for, or what became of it."""
    if data["state"] == "pending":
        return f"waits until {data['expires_at'][:16]} UTC for another person's approval: {data['reason']}"
    said = f": {data['comment']}" if data["comment"] else ""
    return f"approval {data['state']} by {data['by']}{said}"


@dataclass(slots=True, kw_only=True)
class Cell:
    """One code cell: ``index`` counts from 0; ``seconds`` is None while it runs."""

    index: int
    started_at: datetime
    seconds: float | None = None
    status: str = "running"


@dataclass(slots=True, kw_only=True)
class Series:
    """A metric as it went: every value in order of arrival, and the last step."""

    step: int = 0
    values: list[float] = field(default_factory=list)


class Story:
    """The picture of one run.

    Args:
        run: The run as it was when following began.
    """

    def __init__(self, run: Run) -> None:
        self.run_id = run.run_id
        self.title = run.code.path
        self.state = run.state
        self.created_at = run.created_at
        self.started_at = run.started_at
        self.finished_at = run.finished_at
        self.failure: Failure | None = run.failure
        self.cells_total = run.progress.cells_total
        self.cells: dict[int, Cell] = {}
        self.metrics: dict[str, Series] = {}
        self.artifacts: list[str] = []
        self.approval = ""
        self.last_event = 0
        self._lines: deque[str] = deque([""], maxlen=LOG_LINES)
        self._done = run.progress.cells_done

    @property
    def has_ended(self) -> bool:
        """Whether the run is in a state it will never leave."""
        return self.state in TERMINAL_STATES

    @property
    def cells_done(self) -> int:
        """How many code cells have ended."""
        return max(self._done, sum(cell.seconds is not None for cell in self.cells.values()))

    @property
    def log(self) -> list[str]:
        """The last lines of what the notebook wrote."""
        lines = [line.rpartition("\r")[2] if not line.endswith("\r") else line[:-1] for line in self._lines]
        return lines[:-1] if lines[-1] == "" else lines

    def seconds(self, now: datetime) -> float:
        """Return how long the run has been, or was, running; 0 before it started."""
        if self.started_at is None:
            return 0.0
        return max(0.0, ((self.finished_at or now) - self.started_at).total_seconds())

    def fold(self, event: RunEvent) -> None:
        """Take one event into the picture."""
        if event.event_id <= self.last_event:
            return
        self.last_event = event.event_id
        fold = self._FOLDS.get(event.type)
        if fold:
            fold(self, event.at, event.data)

    def settle(self, run: Run) -> None:
        """Take over the run's final record, which is the truth where the two differ."""
        self.state, self.failure = run.state, run.failure
        self.started_at, self.finished_at = run.started_at, run.finished_at
        self.cells_total = max(self.cells_total, run.progress.cells_total)
        self._done = max(self._done, run.progress.cells_done)

    def _state(self, at: datetime, data: dict[str, Any]) -> None:
        self.state = RunState(data["state"])
        if self.state is RunState.RUNNING:
            self.started_at = self.started_at or at
        if self.has_ended:
            self.finished_at = self.finished_at or at
        if data.get("failure"):
            self.failure = convert(data["failure"], Failure)

    def _approval_changed(self, _at: datetime, data: dict[str, Any]) -> None:
        self.approval = approval_told(data)

    def _notebook_started(self, at: datetime, data: dict[str, Any]) -> None:
        self.started_at = self.started_at or at
        self.cells_total = data["cells_total"]

    def _cell_started(self, at: datetime, data: dict[str, Any]) -> None:
        self.cells[data["cell_index"]] = Cell(index=data["cell_index"], started_at=at)

    def _cell_ended(self, at: datetime, data: dict[str, Any]) -> None:
        cell = self.cells.setdefault(data["cell_index"], Cell(index=data["cell_index"], started_at=at))
        cell.seconds, cell.status = data["seconds"], data["status"]

    def _stream_written(self, _at: datetime, data: dict[str, Any]) -> None:
        first, *rest = plain(data["text"]).split("\n")
        self._lines[-1] += first
        self._lines.extend(rest)

    def _metric_logged(self, _at: datetime, data: dict[str, Any]) -> None:
        series = self.metrics.setdefault(data["name"], Series())
        series.step = data["step"]
        series.values.append(data["value"])

    def _artifact_logged(self, _at: datetime, data: dict[str, Any]) -> None:
        if data["name"] not in self.artifacts:
            self.artifacts.append(data["name"])

    _FOLDS = {  # noqa: RUF012  # a table, never changed
        "run.state": _state,
        "approval.changed": _approval_changed,
        "notebook.started": _notebook_started,
        "cell.started": _cell_started,
        "cell.ended": _cell_ended,
        "stream.written": _stream_written,
        "metric.logged": _metric_logged,
        "artifact.logged": _artifact_logged,
    }
