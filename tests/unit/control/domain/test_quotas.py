# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a project used is added up exactly, and every bound holds back exactly what it is for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.environments import Resources
from animus_contracts.quotas import PutQuota, Usage
from animus_control.domain.quotas import (
    RANGES,
    Spent,
    Standing,
    day_of,
    exhausted,
    period_start,
    quota_faults,
    spent_by_day,
    usage_of,
)
from tests.ports.records_of_a_project import a_quota

HOUR_MS = 3_600_000
ONE_HOUR = Spent(cpu=1000 * HOUR_MS, memory=1024 * HOUR_MS, gpu=HOUR_MS)
NOON = datetime(2026, 3, 8, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("name", "bound", "needs_gpu"),
    list(product(["concurrent_runs", "cpu_hours", "memory_gib_hours", "gpu_hours"], [None, 0, 1, 2], [False, True])),
)
def test_a_bound_is_reached_when_as_much_is_used(name: str, bound: int | None, needs_gpu: bool) -> None:
    standing = Standing(quota=a_quota(**{name: bound}), running=1, spent=ONE_HOUR)

    is_reached = bound is not None and bound <= 1 and (name != "gpu_hours" or needs_gpu)

    assert exhausted(standing, needs_gpu=needs_gpu) == (name if is_reached else None)


def test_zero_allows_nothing_even_to_who_used_nothing() -> None:
    for name in ("concurrent_runs", "cpu_hours", "memory_gib_hours"):
        assert exhausted(Standing(quota=a_quota(**{name: 0})), needs_gpu=False) == name


def test_who_has_no_quota_has_no_bound() -> None:
    assert exhausted(Standing(running=10**6, spent=ONE_HOUR), needs_gpu=True) is None


def test_a_share_is_the_cores_in_use_for_the_weight() -> None:
    assert Standing(cpus_milli=3000).share == 3000
    assert Standing(cpus_milli=3000, quota=a_quota(weight=2)).share == 1500


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31), timezones=st.just(UTC)),  # noqa: DTZ001 - Hypothesis adds it
    st.timedeltas(timedelta(0), timedelta(days=30)),
)
def test_the_days_of_a_run_add_up_to_the_run(began: datetime, took: timedelta) -> None:
    began = began.replace(microsecond=began.microsecond // 1000 * 1000)
    ended = began + took - timedelta(microseconds=took.microseconds % 1000)
    resources = Resources(cpus=0.5, memory_mib=100, gpus=2)

    days = list(spent_by_day(began, ended, resources))

    milliseconds = (ended - began) // timedelta(milliseconds=1)
    assert sum(spent.cpu for _, spent in days) == 500 * milliseconds
    assert sum(spent.memory for _, spent in days) == 100 * milliseconds
    assert sum(spent.gpu for _, spent in days) == 2 * milliseconds
    assert [day for day, _ in days] == list(range(day_of(began), day_of(began) + len(days)))


def test_a_run_over_midnight_counts_on_both_days() -> None:
    began = NOON.replace(hour=23)
    assert list(spent_by_day(began, began + timedelta(hours=3), Resources(cpus=1, memory_mib=1, gpus=0))) == [
        (day_of(NOON), Spent(cpu=1000 * HOUR_MS, memory=HOUR_MS)),
        (day_of(NOON) + 1, Spent(cpu=2000 * HOUR_MS, memory=2 * HOUR_MS)),
    ]


def test_a_period_is_today_and_the_days_before() -> None:
    assert period_start(NOON, 1) == datetime(2026, 3, 8, tzinfo=UTC)
    assert period_start(NOON, 7) == datetime(2026, 3, 2, tzinfo=UTC)


def test_usage_is_told_in_hours() -> None:
    standing = Standing(quota=a_quota(period_days=1), running=2, cpus_milli=1500, spent=ONE_HOUR)
    assert usage_of(standing, NOON) == Usage(
        concurrent_runs=2, cpus=1.5, cpu_hours=1, memory_gib_hours=1, gpu_hours=1,
        since=datetime(2026, 3, 8, tzinfo=UTC),
    )  # fmt: skip


@pytest.mark.parametrize("name", RANGES)
@pytest.mark.parametrize("end", [0, 1])
def test_each_number_has_a_range_with_both_ends_included(name: str, end: int) -> None:
    edge: Any = RANGES[name][end]
    beyond = edge - 1 if end == 0 else edge + 1

    assert quota_faults(PutQuota(**{name: edge})) == []
    faults = quota_faults(PutQuota(**{name: beyond}))
    assert [(fault.path, fault.code) for fault in faults] == [(f"$.{name}", "out_of_range")]
    assert str(beyond) in faults[0].message


def test_what_is_no_number_is_in_no_range() -> None:
    assert [fault.path for fault in quota_faults(PutQuota(weight=float("nan")))] == ["$.weight"]
