# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""When a schedule is due: over changes of the clock, after an outage, and never for what makes no sense."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.identifiers import LockId, ProjectId, ScheduleId
from animus_contracts.projects import Role
from animus_contracts.runs import CodeRef, SubmitRun
from animus_contracts.schedules import CatchUp, Overlap, Schedule
from animus_control.domain.limits import Limits
from animus_control.domain.schedules import MOST_RECORDED, Due, due_of, schedule_faults, times

BERLIN = "Europe/Berlin"
START = datetime(2026, 1, 1, tzinfo=UTC)
LIMITS = Limits()


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_schedule(next_at: datetime, *, cron: str = "*/10 * * * *", catch_up: CatchUp = CatchUp.NONE) -> Schedule:
    submission = SubmitRun(
        code=CodeRef(repository="https://git.example/a.git", commit="0" * 40, path="a.ipynb"),
        environment_lock_id=LockId("lock"),
    )
    return Schedule(
        schedule_id=ScheduleId("s"), project_id=ProjectId("p"), name="nightly", cron=cron, time_zone="UTC",
        submission=submission, ref="", overlap=Overlap.SKIP, catch_up=catch_up, role=Role.EDITOR,
        created_at=START, created_by="user:ed", next_at=next_at,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        # 29 March 2026: at 02:00 local time the clock goes to 03:00.
        ("30 2 * * *", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:30"]),
        ("0 3 * * *", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T01:00"]),
        ("0,30 2 * * *", "2026-03-28T12:00", ["2026-03-29T01:00", "2026-03-30T00:00"]),
        ("0 * * * *", "2026-03-28T23:30", ["2026-03-29T00:00", "2026-03-29T01:00", "2026-03-29T02:00"]),
        ("*/30 * * * *", "2026-03-29T00:15", ["2026-03-29T00:30", "2026-03-29T01:00", "2026-03-29T01:30"]),
        # 25 October 2026: at 03:00 local time the clock goes back to 02:00.
        ("30 2 * * *", "2026-10-24T12:00", ["2026-10-25T00:30", "2026-10-26T01:30"]),
        ("30 2 * * *", "2026-10-25T01:10", ["2026-10-26T01:30"]),
        ("0 * * * *", "2026-10-24T23:30", ["2026-10-25T00:00", "2026-10-25T01:00", "2026-10-25T02:00"]),
    ],
)
def test_a_change_of_the_clock_neither_loses_nor_doubles_a_time(cron: str, after: str, expected: list[str]) -> None:
    found = list(islice(times(cron, BERLIN, at(after)), len(expected)))

    assert found == [at(text) for text in expected]


@given(
    cron=st.sampled_from(["30 2 * * *", "*/7 * * * *", "0 2,3 * * *", "15 1-3 * * 0", "0 0 1 * *", "*/30 2 * * *"]),
    zone=st.sampled_from([BERLIN, "UTC", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia"]),
    after=st.datetimes(min_value=datetime(2025, 1, 1), max_value=datetime(2028, 1, 1)),  # noqa: DTZ001 - hypothesis wants it
)
def test_times_only_ever_go_forward(cron: str, zone: str, after: datetime) -> None:
    moment = after.replace(tzinfo=UTC)

    found = [moment, *islice(times(cron, zone, moment), 20)]

    assert all(earlier < later for earlier, later in pairwise(found))


@pytest.mark.parametrize(
    ("cron", "zone", "path", "code"),
    [
        ("* * * * * *", "UTC", "$.cron", "invalid_cron"),
        ("", "UTC", "$.cron", "invalid_cron"),
        ("@daily", "UTC", "$.cron", "invalid_cron"),
        ("0 0 31 2 *", "UTC", "$.cron", "invalid_cron"),
        ("61 * * * *", "UTC", "$.cron", "invalid_cron"),
        ("*/0 * * * *", "UTC", "$.cron", "invalid_cron"),
        ("5-1 * * * *", "UTC", "$.cron", "invalid_cron"),
        ("0-99999999999999999999 * * * *", "UTC", "$.cron", "invalid_cron"),
        ("1," * 5000 + "1 * * * *", "UTC", "$.cron", "invalid_cron"),
        ("٣ * * * *", "UTC", "$.cron", "invalid_cron"),
        ("0\n0 * * *", "UTC", "$.cron", "invalid_cron"),
        ("0 0 * * 1L2", "UTC", "$.cron", "invalid_cron"),
        ("0 6 * * *", "Berlin", "$.time_zone", "unknown_time_zone"),
        ("0 6 * * *", "../../etc/passwd", "$.time_zone", "unknown_time_zone"),
        ("0 6 * * *", "Europe", "$.time_zone", "unknown_time_zone"),
        ("0 6 * * *", "\x00", "$.time_zone", "unknown_time_zone"),
        ("0 6 * * *", "", "$.time_zone", "unknown_time_zone"),
    ],
    ids=lambda text: text[:24],
)
def test_what_makes_no_sense_is_refused_with_its_place(cron: str, zone: str, path: str, code: str) -> None:
    faults = schedule_faults(cron, zone, START, LIMITS)

    assert [(fault.path, fault.code) for fault in faults] == [(path, code)]


@given(cron=st.text(max_size=40) | st.text(alphabet="0123456789*/-,L#W MONJA", max_size=30))
def test_any_text_is_either_a_schedule_or_a_fault(cron: str) -> None:
    if not schedule_faults(cron, BERLIN, START, LIMITS):
        assert next(times(cron, BERLIN, START)) > START


@pytest.mark.parametrize("cron", ["0 6 * * 1-5", "0 0 29 2 *", "0 0 L * *", "0 9 * * MON#1", "* * * * *"])
def test_a_schedule_that_comes_is_accepted(cron: str) -> None:
    assert schedule_faults(cron, BERLIN, START, LIMITS) == []


def test_an_installation_may_ask_for_more_room_between_two_runs() -> None:
    limits = Limits(schedule_interval=timedelta(minutes=15))

    assert [fault.code for fault in schedule_faults("0,5 3 * * *", "UTC", START, limits)] == ["too_frequent"]
    assert schedule_faults("*/15 * * * *", "UTC", START, limits) == []


DUE = at("2026-01-01T12:00")


@pytest.mark.parametrize(
    ("late", "catch_up", "expected"),
    [
        ({"seconds": -1}, CatchUp.NONE, Due(next_at=DUE)),
        ({"seconds": 0}, CatchUp.NONE, Due(fires=DUE, next_at=at("2026-01-01T12:10"))),
        ({"seconds": 60}, CatchUp.NONE, Due(fires=DUE, next_at=at("2026-01-01T12:10"))),
        ({"seconds": 61}, CatchUp.NONE, Due(missed=[DUE], next_at=at("2026-01-01T12:10"))),
        ({"seconds": 61}, CatchUp.LAST, Due(fires=DUE, next_at=at("2026-01-01T12:10"))),
        (
            {"minutes": 25},
            CatchUp.NONE,
            Due(missed=[DUE, at("2026-01-01T12:10"), at("2026-01-01T12:20")], next_at=at("2026-01-01T12:30")),
        ),
        (
            {"minutes": 25},
            CatchUp.LAST,
            Due(missed=[DUE, at("2026-01-01T12:10")], fires=at("2026-01-01T12:20"), next_at=at("2026-01-01T12:30")),
        ),
        (
            {"minutes": 20, "seconds": 30},
            CatchUp.NONE,
            Due(missed=[DUE, at("2026-01-01T12:10")], fires=at("2026-01-01T12:20"), next_at=at("2026-01-01T12:30")),
        ),
    ],
)
def test_what_is_late_is_missed_unless_the_last_one_is_wanted(
    late: dict[str, int], catch_up: CatchUp, expected: Due
) -> None:
    assert due_of(a_schedule(DUE, catch_up=catch_up), DUE + timedelta(**late)) == expected


def test_a_long_outage_is_told_in_a_bounded_number_of_records() -> None:
    due = due_of(a_schedule(DUE, cron="* * * * *", catch_up=CatchUp.LAST), DUE + timedelta(days=30))

    assert len(due.missed) == MOST_RECORDED
    assert due.unrecorded == 30 * 24 * 60 - MOST_RECORDED
    assert due.fires == DUE + timedelta(days=30)


def test_a_yearly_schedule_comes_again_next_year() -> None:
    assert due_of(a_schedule(DUE, cron="0 12 1 1 *"), DUE).next_at == datetime(2027, 1, 1, 12, tzinfo=UTC)
