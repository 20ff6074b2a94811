# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Events arrive in order, soon, and each once, whatever the control plane does in between."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from itertools import chain

import pytest

from animus_contracts.run_events import EventsAccepted, ExecutionEvent, MetricLogged, ReportEvents, StreamWritten
from animus_runner.exits import LostError, UnreachableError
from animus_runner.progress import BATCH_TEXT, FLOODED, LIVE_TEXT, Progress

NOW = datetime(2026, 1, 1, tzinfo=UTC)


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


def test_everything_recorded_has_arrived_in_order_when_the_block_ends() -> None:
    ear = Ear()
    with Progress(7, ear) as progress:
        for step in range(1000):
            progress.record(metric(step))
    assert [(event.sequence, getattr(event, "step", None)) for event in ear.events] == [(n + 1, n) for n in range(1000)]
    assert {batch.epoch for batch in ear.batches} == {7}


def test_an_event_is_sent_within_a_quarter_of_a_second() -> None:
    ear = Ear()
    with Progress(1, ear) as progress:
        recorded = time.monotonic()
        progress.record(metric(0))
        while not ear.times:
            time.sleep(0.005)
    assert ear.times[0] - recorded < 0.25


def test_a_batch_is_repeated_until_it_is_accepted() -> None:
    ear = Ear([UnreachableError("away"), UnreachableError("away")])
    with Progress(1, ear) as progress:
        progress.record(metric(0))
        progress.record(metric(1))
    assert [event.sequence for event in ear.events] == [1, 2]


def test_a_lost_attempt_reports_nothing_more_and_ends_at_once() -> None:
    ear = Ear([LostError("stale_epoch")])
    with Progress(1, ear) as progress:
        progress.record(metric(0))
        time.sleep(0.2)
        progress.record(metric(1))
    assert ear.batches == []


def test_an_error_in_the_block_ends_the_waiting_for_a_control_plane_that_is_away() -> None:
    def away(_: ReportEvents) -> EventsAccepted:
        raise UnreachableError("away")

    def break_off() -> None:
        with Progress(1, away) as progress:
            progress.record(metric(0))
            raise RuntimeError("over")

    started = time.monotonic()
    with pytest.raises(RuntimeError, match="over"):
        break_off()
    assert time.monotonic() - started < 2.0


def test_a_flood_of_output_is_cut_and_said_to_be() -> None:
    ear = Ear()
    with Progress(1, ear) as progress:
        for _ in range(300):
            progress.record(written("x" * 10_000))
        progress.record(metric(0))
    texts = [event.text for event in ear.events if isinstance(event, StreamWritten)]
    assert sum(map(len, texts)) == LIVE_TEXT + len(FLOODED)
    assert texts[-1].endswith(FLOODED)
    assert isinstance(ear.events[-1], MetricLogged)


def test_a_batch_stays_below_what_a_request_may_hold() -> None:
    ear = Ear()
    with Progress(1, ear) as progress:
        progress.record(written("x" * LIVE_TEXT))
    sizes = [
        sum(len(event.text) for event in batch.events if isinstance(event, StreamWritten)) for batch in ear.batches
    ]
    assert max(sizes) <= BATCH_TEXT
    assert sum(sizes) == LIVE_TEXT


def test_text_that_cannot_be_stored_is_replaced_and_loses_nothing_else() -> None:
    ear = Ear()
    with Progress(1, ear) as progress:
        progress.record(written("a\0b\ud800c"))
        progress.record(metric(1))
    text, logged = ear.events
    assert isinstance(text, StreamWritten)
    assert text.text == "a\ufffdb?c"
    assert logged.sequence == 2
