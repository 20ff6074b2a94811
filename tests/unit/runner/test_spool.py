# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Events survive whoever wrote them, in order and whole; a spool is bounded and never silently short."""

from __future__ import annotations

import resource
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest

from animus_contracts.run_events import CellStarted, ExecutionEvent, MetricLogged, StreamWritten
from animus_runner.spool import Spool, SpoolFullError

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MANY = {"max_events": 1000, "max_bytes": 1 << 20}


def metric(step: int, sequence: int = 0) -> MetricLogged:
    return MetricLogged(sequence=sequence, at=NOW, name="loss", step=step, value=0.5)


def filled(path: Path, count: int = 3) -> list[ExecutionEvent]:
    """Write events as a process does that does not come to its end; return what must be there."""
    with Spool(path) as spool:
        for step in range(count):
            spool.append(metric(step))
    return [metric(step, step + 1) for step in range(count)]


def everything(spool: Spool) -> list[ExecutionEvent]:
    return spool.read(0, **MANY)[0]


def test_events_of_every_kind_come_out_as_they_went_in_with_the_number_of_their_line(tmp_path: Path) -> None:
    events = [
        CellStarted(sequence=9, at=NOW, cell_id="c", cell_index=0),
        StreamWritten(sequence=9, at=NOW, cell_id="c", stream="stdout", text="a\r\nb\u2028\x1b[0m\n"),
        metric(1),
    ]
    with Spool(tmp_path / "events") as spool:
        for event in events:
            spool.append(event)
        found = everything(spool)
    assert [event.sequence for event in found] == [1, 2, 3]
    assert [type(event) for event in found] == [CellStarted, StreamWritten, MetricLogged]
    assert isinstance(found[1], StreamWritten)
    assert found[1].text == "a\r\nb\u2028\x1b[0m\n"


def test_a_successor_finds_everything_and_goes_on_with_the_next_number(tmp_path: Path) -> None:
    before = filled(tmp_path / "events")
    with Spool(tmp_path / "events") as spool:
        assert (everything(spool), spool.count) == (before, 3)
        spool.append(metric(7))
        assert everything(spool) == [*before, metric(7, 4)]


TORN = {
    "half a line": b'{"type":"metric.logged","sequence":4,"at":"2026',
    "a whole event without its end": b'{"type":"metric.logged","sequence":4,"at":"2026-01-01T00:00:00Z",'
    b'"name":"loss","step":3,"value":0.5}',
    "a block of zeros": b"\0" * 4096,
    "a line of zeros": b"\0" * 4096 + b"\n",
    "a number that does not follow": b'{"type":"metric.logged","sequence":9,"at":"2026-01-01T00:00:00Z",'
    b'"name":"loss","step":3,"value":0.5}\n',
    "something else": b"[]\n",
}


@pytest.mark.parametrize("tail", TORN.values(), ids=TORN)
def test_what_a_crash_left_at_the_end_is_no_event_and_goes(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "events"
    before = filled(path)
    whole = path.read_bytes()
    path.write_bytes(whole + tail)

    with Spool(path) as spool:
        assert everything(spool) == before
        spool.append(metric(3))

    with Spool(path) as spool:
        assert everything(spool) == [*before, metric(3, 4)]


@pytest.mark.parametrize("cut", range(0, 240, 7))
def test_a_file_that_is_cut_anywhere_holds_the_whole_events_before(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "events"
    before = filled(path)
    kept = path.read_bytes()[:cut]
    path.write_bytes(kept)
    with Spool(path) as spool:
        assert everything(spool) == before[: kept.count(b"\n")]


def test_it_is_read_in_parts_that_keep_to_their_bounds_and_leave_nothing_out(tmp_path: Path) -> None:
    before = filled(tmp_path / "events", 100)
    found: list[ExecutionEvent] = []
    with Spool(tmp_path / "events") as spool:
        position = 0
        while position < spool.size:
            part, end = spool.read(position, max_events=7, max_bytes=500)
            assert part
            assert len(part) <= 7
            assert end - position <= 500
            found += part
            position = end
    assert found == before


def test_a_full_spool_refuses_and_keeps_what_it_has(tmp_path: Path) -> None:
    with Spool(tmp_path / "events", max_bytes=250) as spool:
        spool.append(metric(0))
        spool.append(metric(1))
        with pytest.raises(SpoolFullError, match="at most 250 bytes"):
            spool.append(metric(2))
        assert everything(spool) == [metric(0, 1), metric(1, 2)]


def test_a_write_that_the_system_cuts_short_leaves_no_half_event(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with Spool(tmp_path / "events") as spool:
        spool.append(metric(0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (spool.size + 10, before[1]))
        try:
            with pytest.raises(SpoolFullError):
                spool.append(metric(1))
            with pytest.raises(SpoolFullError):
                spool.append(metric(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert everything(spool) == [metric(0, 1)]
        spool.append(metric(5))
        assert everything(spool) == [metric(0, 1), metric(5, 2)]


def test_memory_holds_none_of_what_waits(tmp_path: Path) -> None:
    tracemalloc.start()
    try:
        with Spool(tmp_path / "events") as spool:
            for step in range(20_000):
                spool.append(metric(step))
            assert spool.size > 1_000_000
            kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 100_000
