# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who goes next: the decision by heads equals a sort of everything, and every obstacle is seen."""

from __future__ import annotations

from datetime import timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity, LeaseRequest
from animus_contracts.identifiers import ProjectId
from animus_contracts.runs import Limitation, Run, RunClass, RunState
from animus_control.domain.queue import (
    Demand,
    Head,
    Obstacle,
    after_lease,
    choose,
    demand_of,
    due_at,
    obstacle,
    shape_of,
    start_estimate,
)
from animus_control.domain.quotas import Spent, Standing, exhausted
from tests.ports.records_of_a_project import NOW, a_quota, a_run, identifier

LINUX = "linux_x86_64"
PROJECTS = [ProjectId(identifier(number)) for number in (1, 2, 3)]
ROOM, NO_ROOM = Capacity(cpus=2, memory_mib=4096, gpus=1), Capacity(cpus=0.5, memory_mib=4096, gpus=1)
LEFT = [None, Obstacle.PLATFORM, Obstacle.ISOLATION, Obstacle.LABELS, Obstacle.CAPACITY]


@pytest.mark.parametrize(
    ("platform", "run_class", "limitations", "labels", "capacity"),
    list(
        product(
            [LINUX, "win_amd64"],
            RunClass,
            [[], [Limitation.NETWORK_NOT_ISOLATED]],
            [{"gpu": "a100", "zone": "eu"}, {"gpu": "t4"}, {}],
            [None, ROOM, NO_ROOM],
        )
    ),
)
def test_the_most_lasting_obstacle_is_named(
    platform: str,
    run_class: RunClass,
    limitations: list[Limitation],
    labels: dict[str, str],
    capacity: Capacity | None,
) -> None:
    demand = Demand(run_class=run_class, labels={"gpu": "a100"}, cpus_milli=1000, memory_mib=2048, gpus=1)
    offer = LeaseRequest(platform=platform, limitations=limitations, labels=labels, capacity=capacity)

    found = obstacle(demand, LINUX, offer)

    expected = [
        Obstacle.PLATFORM if platform != LINUX else None,
        Obstacle.ISOLATION if run_class is RunClass.PRODUCTION and limitations else None,
        Obstacle.LABELS if labels.get("gpu") != "a100" else None,
        Obstacle.CAPACITY if capacity is NO_ROOM else None,
    ]
    assert found is next((it for it in expected if it), None)


@pytest.mark.parametrize(
    "free",
    [
        Capacity(cpus=0.999, memory_mib=2048, gpus=1),
        Capacity(cpus=1, memory_mib=2047, gpus=1),
        Capacity(cpus=1, memory_mib=2048, gpus=0),
    ],
)
def test_each_resource_alone_may_be_too_little(free: Capacity) -> None:
    demand = Demand(run_class=RunClass.DEVELOPMENT, labels={}, cpus_milli=1000, memory_mib=2048, gpus=1)
    assert obstacle(demand, LINUX, LeaseRequest(capacity=free)) is Obstacle.CAPACITY
    assert obstacle(demand, LINUX, LeaseRequest(capacity=Capacity(cpus=1, memory_mib=2048, gpus=1))) is None


def test_runs_that_ask_for_the_same_have_the_same_shape_and_only_those() -> None:
    same = [a_run(1, executor_labels={"a": "1", "b": "2"}), a_run(2, executor_labels={"b": "2", "a": "1"})]
    others = [
        a_run(3),
        a_run(4, run_class=RunClass.PRODUCTION),
        a_run(5, resources=Resources(cpus=2)),
        a_run(6, resources=Resources(memory_mib=1)),
        a_run(7, resources=Resources(gpus=1)),
        a_run(8, executor_labels={"a": "1"}),
    ]
    assert len({shape_of(run) for run in same}) == 1
    assert len({shape_of(run) for run in [*same, *others]}) == 1 + len(others)
    assert shape_of(a_run(9, resources=Resources(wall_seconds=1, processes=7))) == shape_of(a_run(3))


def test_a_shape_says_what_the_run_asks_for() -> None:
    run = a_run(run_class=RunClass.PRODUCTION, executor_labels={"gpu": "a100"}, resources=Resources(cpus=0.25, gpus=2))
    assert demand_of(shape_of(run)) == Demand(
        run_class=RunClass.PRODUCTION, labels={"gpu": "a100"}, cpus_milli=250, memory_mib=2048, gpus=2
    )


runs = st.lists(
    st.builds(
        lambda number, project, priority, seconds, cpus, gpus, label: a_run(
            number,
            project_id=project,
            priority=priority,
            queued_at=NOW + timedelta(seconds=seconds),
            resources=Resources(cpus=cpus, gpus=gpus),
            executor_labels={"zone": label} if label else {},
        ),
        number=st.integers(100, 10_000),
        project=st.sampled_from(PROJECTS),
        priority=st.sampled_from([-1, 0, 0, 5]),
        seconds=st.integers(0, 3),
        cpus=st.sampled_from([0.5, 1, 4]),
        gpus=st.sampled_from([0, 0, 1]),
        label=st.sampled_from(["", "", "eu"]),
    ),
    max_size=12,
    unique_by=lambda run: run.run_id,
)
offers = st.builds(
    LeaseRequest,
    labels=st.sampled_from([{}, {"zone": "eu"}, {"zone": "us"}]),
    capacity=st.sampled_from([None, Capacity(cpus=1, memory_mib=4096), Capacity(cpus=8, memory_mib=4096, gpus=1)]),
)
standings = st.builds(
    Standing,
    quota=st.sampled_from([None, a_quota(weight=2), a_quota(concurrent_runs=2), a_quota(gpu_hours=0)]),
    running=st.integers(0, 3),
    cpus_milli=st.sampled_from([0, 500, 1000, 2000]),
    spent=st.just(Spent()),
)


def in_plain_words(queue: list[Run], offer: LeaseRequest, standing: dict[ProjectId, Standing]) -> Run | None:
    """Sort everything that may start: projects by their share, runs of a project by priority, time and id."""

    def may_start(run: Run) -> bool:
        demand = demand_of(shape_of(run))
        fits = obstacle(demand, LINUX, offer) is None
        return fits and not exhausted(standing[run.project_id], needs_gpu=run.resources.gpus > 0)

    def place(run: Run) -> tuple[Any, ...]:
        return -run.priority, run.queued_at, run.run_id

    firsts = [
        min(mine, key=place)
        for project in PROJECTS
        if (mine := [run for run in queue if run.project_id == project and may_start(run)])
    ]
    return min(firsts, key=lambda run: (standing[run.project_id].share, run.queued_at, run.run_id), default=None)


@given(queue=runs, offer=offers, uses=st.tuples(standings, standings, standings))
def test_the_choice_among_heads_is_the_choice_among_all(
    queue: list[Run], offer: LeaseRequest, uses: tuple[Standing, ...]
) -> None:
    standing = dict(zip(PROJECTS, uses, strict=True))
    lanes: dict[tuple[str, str], Head] = {}
    for run in queue:
        assert run.queued_at is not None
        head = Head(
            project_id=run.project_id, run_id=run.run_id, shape=shape_of(run), priority=run.priority,
            queued_at=run.queued_at,
        )  # fmt: skip
        known = lanes.get((run.project_id, head.shape))
        lanes[run.project_id, head.shape] = head if known is None or head.rank < known.rank else known

    found = choose(lanes.values(), LINUX, offer, standing)

    expected = in_plain_words(queue, offer, standing)
    assert (found and found.run_id) == (expected and expected.run_id)


@pytest.mark.parametrize("state", RunState)
def test_time_ends_only_what_waits_or_runs(state: RunState) -> None:
    run = a_run(state=state, queued_at=NOW, started_at=NOW, queue_seconds=60, resources=Resources(wall_seconds=600))
    expected = {
        RunState.QUEUED: NOW + timedelta(seconds=60),
        RunState.RUNNING: NOW + timedelta(seconds=600),
        RunState.UNKNOWN: NOW + timedelta(seconds=600),
        RunState.RECONCILING: NOW + timedelta(seconds=600),
    }
    assert due_at(run) == expected.get(state)


def test_a_run_that_is_held_back_does_not_wait_before_it_is_let_in() -> None:
    later = NOW + timedelta(minutes=5)
    assert due_at(a_run(queued_at=NOW, not_before=later, queue_seconds=60)) == later + timedelta(seconds=60)
    assert due_at(a_run(queued_at=NOW)) is None


def test_an_executor_has_less_free_once_it_took_a_run() -> None:
    demand = Demand(run_class=RunClass.DEVELOPMENT, labels={}, cpus_milli=500, memory_mib=1024, gpus=1)
    assert after_lease(ROOM, demand) == Capacity(cpus=1.5, memory_mib=3072, gpus=0)
    assert after_lease(None, demand) is None


@pytest.mark.parametrize(
    ("ahead", "running", "seconds", "expected"),
    [(0, 0, [], None), (0, 1, [10.0], 10.0), (3, 2, [1.0, 10.0, 100.0], 20.0), (5, 0, [2.0], 12.0)],
)
def test_the_estimate_is_what_goes_first_times_the_middle_duration(
    ahead: int, running: int, seconds: list[float], expected: float | None
) -> None:
    assert start_estimate(ahead, running, seconds) == expected
