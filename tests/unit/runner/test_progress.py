# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Events arrive in order, soon, and each once, whatever the control plane does in between."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path

import pytest

from animus_contracts.run_events import EventsAccepted, ExecutionEvent, MetricLogged, ReportEvents, StreamWritten
from animus_runner.exits import LostError, UnreachableError
from animus_runner.progress import BATCH_BYTES, BATCH_EVENTS, FLOODED, LIVE_TEXT, Progress
from animus_runner.spool import EVENTS_FILE, Spool, SpoolFullError

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def spool(tmp_path: Path) -> Iterator[Spool]:
    with Spool(tmp_path / EVENTS_FILE) as spool:
        yield spool


def metric(step: int) -> MetricLogged:
    return MetricLogged(sequence=0, at=NOW, name="loss", step=step, value=0.5)


def written(text: str) -> StreamWritten:
    return StreamWritten(sequence=0, at=NOW, cell_id="c", stream="stdout", text=text)


class Ear:
    """Takes batches; fails as often as it is told to."""

    def __init__(self, failures: list[Exception] | None = None) -> None:
        self.failures = failures or []
        self.batches: list[ReportEvents] = []
        self.times: list[float] = []

    def __call__(self, message: ReportEvents) -> EventsAccepted:
        if self.failures:
            raise self.failures.pop(0)
        self.batches.append(message)
        self.times.append(time.monotonic())
        return EventsAccepted(last_sequence=message.events[-1].sequence)

    @property
    def events(self) -> list[ExecutionEvent]:
        return list(chain.from_iterable(batch.events for batch in self.batches))


def test_everything_recorded_has_arrived_in_order_when_the_block_ends(spool: Spool) -> None:
    ear = Ear()
    with Progress(7, ear, spool) as progress:
        for step in range(1000):
            progress.record(metric(step))
    assert [(event.sequence, getattr(event, "step", None)) for event in ear.events] == [(n + 1, n) for n in range(1000)]
    assert {batch.epoch for batch in ear.batches} == {7}


def test_an_event_is_sent_within_a_quarter_of_a_second(spool: Spool) -> None:
    ear = Ear()
    with Progress(1, ear, spool) as progress:
        recorded = time.monotonic()
        progress.record(metric(0))
        while not ear.times:
            time.sleep(0.005)
    assert ear.times[0] - recorded < 0.25


def test_a_batch_is_repeated_until_it_is_accepted(spool: Spool) -> None:
    ear = Ear([UnreachableError("away"), UnreachableError("away")])
    with Progress(1, ear, spool) as progress:
        progress.record(metric(0))
        progress.record(metric(1))
    assert [event.sequence for event in ear.events] == [1, 2]


def test_a_lost_attempt_reports_nothing_more_and_ends_at_once(spool: Spool) -> None:
    ear = Ear([LostError("stale_epoch")])
    with Progress(1, ear, spool) as progress:
        progress.record(metric(0))
        time.sleep(0.2)
        progress.record(metric(1))
    assert ear.batches == []


def test_an_error_in_the_block_ends_the_waiting_for_a_control_plane_that_is_away(spool: Spool) -> None:
    def away(_: ReportEvents) -> EventsAccepted:
        raise UnreachableError("away")

    def break_off() -> None:
        with Progress(1, away, spool) as progress:
            progress.record(metric(0))
            raise RuntimeError("over")

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="over"):
        break_off()
    assert time.monotonic() - started < 2.0


def test_a_flood_of_output_is_cut_and_said_to_be(spool: Spool) -> None:
    ear = Ear()
    with Progress(1, ear, spool) as progress:
        for _ in range(300):
            progress.record(written("x" * 10_000))
        progress.record(metric(0))
    texts = [event.text for event in ear.events if isinstance(event, StreamWritten)]
    assert sum(map(len, texts)) == LIVE_TEXT + len(FLOODED)
    assert texts[-1].endswith(FLOODED)
    assert isinstance(ear.events[-1], MetricLogged)


def test_a_batch_stays_below_what_a_request_may_hold(spool: Spool) -> None:
    ear = Ear()
    with Progress(1, ear, spool) as progress:
        progress.record(written("x" * LIVE_TEXT))
    sizes = [
        sum(len(event.text) for event in batch.events if isinstance(event, StreamWritten)) for batch in ear.batches
    ]
    assert max(sizes) <= BATCH_BYTES
    assert sum(sizes) == LIVE_TEXT


def test_text_that_cannot_be_stored_is_replaced_and_loses_nothing_else(spool: Spool) -> None:
    ear = Ear()
    with Progress(1, ear, spool) as progress:
        progress.record(written("a\0b\ud800c"))
        progress.record(metric(1))
    text, logged = ear.events
    assert isinstance(text, StreamWritten)
    assert text.text == "a\ufffdb?c"
    assert logged.sequence == 2


def test_an_outage_of_an_hour_is_delivered_in_order_batch_after_batch(spool: Spool) -> None:
    away, ear = threading.Event(), Ear()

    def send(message: ReportEvents) -> EventsAccepted:
        if not away.is_set():
            raise UnreachableError("away")
        return ear(message)

    with Progress(1, send, spool) as progress:
        for step in range(7200):
            progress.record(metric(step))
        away.set()
    assert [getattr(event, "step", None) for event in ear.events] == list(range(7200))
    assert {len(batch.events) for batch in ear.batches} == {BATCH_EVENTS}


def test_what_a_predecessor_left_is_sent_first(spool: Spool) -> None:
    ear = Ear()
    spool.append(metric(0))
    with Progress(1, ear, spool) as progress:
        progress.record(metric(1))
    assert [(event.sequence, getattr(event, "step", None)) for event in ear.events] == [(1, 0), (2, 1)]


def test_an_event_that_finds_no_room_is_refused_and_the_others_arrive(tmp_path: Path) -> None:
    ear = Ear()
    with Spool(tmp_path / "small", max_bytes=1000) as small, Progress(1, ear, small) as progress:
        progress.record(metric(0))
        with pytest.raises(SpoolFullError):
            progress.record(written("x" * 2000))
        progress.record(metric(1))
    assert [(event.sequence, getattr(event, "step", None)) for event in ear.events] == [(1, 0), (2, 1)]
