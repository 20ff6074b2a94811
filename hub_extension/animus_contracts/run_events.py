# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The live story of a run: as the data plane reports it, and as people follow it.

Reports are numbered within an attempt and lines within the whole server, so that both a repeated report and a resumed
reader are harmless.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from animus_contracts.identifiers import RunId


class NotebookStarted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="notebook.started", kw_only=True):
    """The kernel answers; ``cells_total`` code cells are to run."""

    sequence: int
    at: datetime
    cells_total: int


class CellStarted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cell.started", kw_only=True):
    """A code cell began. ``cell_index`` counts code cells from 0."""

    sequence: int
    at: datetime
    cell_id: str
    cell_index: int


class CellEnded(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="cell.ended", kw_only=True):
    """A code cell ended after ``seconds``; ``status`` is ``ok``, ``error`` or ``interrupted``."""

    sequence: int
    at: datetime
    cell_id: str
    cell_index: int
    seconds: float
    status: str


class StreamWritten(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="stream.written", kw_only=True):
    """A cell wrote text to ``stdout`` or ``stderr``."""

    sequence: int
    at: datetime
    cell_id: str
    stream: str
    text: str


class MetricLogged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="metric.logged", kw_only=True):
    """User code logged a metric."""

    sequence: int
    at: datetime
    name: str
    step: int
    value: float


class ArtifactLogged(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="artifact.logged", kw_only=True):
    """User code logged an artifact; it becomes visible when the run ends."""

    sequence: int
    at: datetime
    name: str


ExecutionEvent = NotebookStarted | CellStarted | CellEnded | StreamWritten | MetricLogged | ArtifactLogged


class ReportEvents(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events in order. ``sequence`` is 1, 2, 3, … per attempt; one that was received already is skipped."""

    epoch: int
    events: list[ExecutionEvent]


class EventsAccepted(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Everything up to ``last_sequence`` is stored."""

    last_sequence: int


class RunEvent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One line of a run's live story, as server-sent events deliver it.

    ``event_id`` increases over the whole server; a reader resumes after the last one it saw. ``type`` is
    ``run.state`` (``data`` holds state, version, progress, failure), ``run.compared`` (the verdict on a replay, which
    comes after its end: ``data`` names the comparison), or a type of :data:`ExecutionEvent` (``data`` is that event).
    """

    event_id: int
    run_id: RunId
    type: str
    at: datetime
    data: dict[str, Any]
