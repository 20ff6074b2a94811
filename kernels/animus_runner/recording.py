# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Everything that is seen of a run while it goes on: events, output, and what user code logs.

Output is redacted before it leaves this process; the log is kept as it came and redacted as a whole when it is
published, so that a credential that was written in pieces is found as well.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import msgspec

from animus_contracts.run_events import ArtifactLogged, CellStarted, ExecutionEvent, MetricLogged, StreamWritten
from animus_runner.artifacts import Logged
from animus_runner.channel import RefusedRequestError
from animus_runner.progress import Progress
from animus_runner.redact import Redactor
from animus_runner.spool import SpoolFullError

MAX_LOG = 16 << 20
MAX_METRICS = 100_000
MAX_SEEDS = 1000
CUT = "\n[the log ends here: the run wrote more than is kept]\n"


class Recording:
    """The recorder of one attempt; called from the supervisor's threads.

    Args:
        progress: Takes events.
        logged: Takes logged artifacts.
        redactor: Cleans live output.
        log: File for the run's output.

    Attributes:
        logged: Takes logged artifacts.
        redactor: Cleans live output.
        seeds: The seeds that user code has set through the platform, in order; the first thousand of them.
        is_incomplete: Whether there was no room for an event, so that the run's story has a gap.
    """

    def __init__(self, progress: Progress, logged: Logged, redactor: Redactor, log: Path) -> None:
        self._progress = progress
        self.logged = logged
        self.redactor = redactor
        self._log = log.open("x", encoding="utf-8", errors="replace", buffering=1)  # lines outlive a killed supervisor
        self._room = MAX_LOG
        self._metrics = 0
        self.seeds: list[int] = []
        self.is_incomplete = False
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._log.close()

    def observe(self, event: ExecutionEvent) -> None:
        """Take what the notebook's execution tells; its ``sequence`` does not matter."""
        if isinstance(event, CellStarted):
            self._write(f"--- cell {event.cell_index} ({event.cell_id})\n")
        elif isinstance(event, StreamWritten):
            self._write(event.text)
            event = msgspec.structs.replace(event, text=self.redactor.text(event.text))
        self._tell(event)

    def log_metric(self, name: str, step: int, value: float) -> None:
        """Record a metric that user code logs."""
        with self._lock:
            self._metrics += 1
            if self._metrics > MAX_METRICS:
                raise RefusedRequestError("too_many_metrics", f"a run logs at most {MAX_METRICS} values")
        try:
            self._progress.record(MetricLogged(sequence=0, at=_now(), name=name, step=step, value=value))
        except SpoolFullError as error:
            raise RefusedRequestError("no_room", f"the metric is not kept: {error}") from error

    def log_artifact(self, name: str, path: str) -> None:
        """Keep a copy of a file that user code logs."""
        self.logged.keep(name, path)
        self._tell(ArtifactLogged(sequence=0, at=_now(), name=name))

    def log_seed(self, number: int) -> None:
        """Note a seed that user code sets."""
        with self._lock:
            if len(self.seeds) < MAX_SEEDS:
                self.seeds.append(number)

    def _tell(self, event: ExecutionEvent) -> None:
        try:
            self._progress.record(event)
        except SpoolFullError:  # the run goes on, and says at its end that its story has a gap
            self.is_incomplete = True

    def _write(self, text: str) -> None:
        if self._room <= 0:
            return
        self._log.write(text[: self._room])
        self._room -= len(text)
        if self._room <= 0:
            self._log.write(CUT)


def _now() -> datetime:
    return datetime.now(UTC)
