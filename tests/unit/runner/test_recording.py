# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A gap in what is told of a run is never silent: user code hears of a lost metric, the run of a lost event."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from animus_contracts.run_events import CellStarted, EventsAccepted, ReportEvents
from animus_runner.artifacts import Logged
from animus_runner.channel import RefusedRequestError
from animus_runner.progress import Progress
from animus_runner.recording import Recording
from animus_runner.redact import Redactor
from animus_runner.spool import Spool

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def accepted(message: ReportEvents) -> EventsAccepted:
    return EventsAccepted(last_sequence=message.events[-1].sequence)


@pytest.fixture
def recording(tmp_path: Path) -> Iterator[Recording]:
    """A recording with room for one event."""
    logged = Logged(tmp_path, {}, 1 << 20)
    with (
        Spool(tmp_path / "events", max_bytes=150) as spool,
        Progress(1, accepted, spool) as progress,
        Recording(progress, logged, Redactor([]), tmp_path / "log") as recording,
    ):
        yield recording


def test_a_metric_that_finds_no_room_is_refused_to_whoever_logs_it(recording: Recording) -> None:
    recording.log_metric("loss", 0, 0.5)
    with pytest.raises(RefusedRequestError, match="the metric is not kept") as caught:
        recording.log_metric("loss", 1, 0.5)
    assert caught.value.code == "no_room"
    assert not recording.is_incomplete


def test_an_event_that_finds_no_room_leaves_a_gap_that_is_known_and_the_log_has_it(
    recording: Recording, tmp_path: Path
) -> None:
    for index in range(2):
        recording.observe(CellStarted(sequence=0, at=NOW, cell_id="c", cell_index=index))
    assert recording.is_incomplete
    recording.__exit__()
    assert (tmp_path / "log").read_text() == "--- cell 0 (c)\n--- cell 1 (c)\n"
