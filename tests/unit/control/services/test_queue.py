# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Who goes first, between runs of a project and between projects, and what holds a run back."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import permutations
from typing import Any

import pytest

from animus_contracts.audit import Action
from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity, LeaseRequest
from animus_contracts.pages import ListQuery
from animus_contracts.quotas import PutQuota, Usage
from animus_contracts.runs import Limitation, RunClass
from animus_control.domain.errors import DeniedError, InvalidError, UnseenError
from animus_control.services import access
from animus_control.storage.engine import open_database
from tests.unit.control.services.desk import ADA, ED, LOCAL, NOBODY, REMOTE, VIC, Desk
from tests.unit.control.services.waiting_room import WaitingRoom

HOUR = 3600.0
TWO_CORES = Resources(cpus=2)


@pytest.fixture
def room(desk: Desk) -> WaitingRoom:
    room = WaitingRoom(desk)
    room.open("demo")
    return room


@pytest.fixture
def any_room(any_desk: Desk) -> WaitingRoom:
    room = WaitingRoom(any_desk)
    room.open("demo", "beta")
    return room


@pytest.mark.parametrize("priorities", list(permutations([-5, 0, 7])))
def test_the_higher_priority_goes_first_however_they_came(room: WaitingRoom, priorities: tuple[int, ...]) -> None:
    runs = {priority: room.submit(priority=priority).run_id for priority in priorities}
    assert room.order() == [runs[7], runs[0], runs[-5]]


def test_of_equals_the_one_that_came_first_goes_first(any_room: WaitingRoom) -> None:
    runs = []
    for _ in range(3):
        runs.append(any_room.submit().run_id)
        any_room.desk.later(1)
    assert any_room.order() == runs


def test_a_run_goes_only_where_it_fits_and_lets_others_pass(any_room: WaitingRoom) -> None:
    large = any_room.submit(resources=TWO_CORES, priority=9)
    labeled = any_room.submit(executor_labels={"gpu": "a100"}, priority=8)
    production = any_room.submit(run_class=RunClass.PRODUCTION, seed=1, priority=7)
    plain = any_room.submit()
    little = Capacity(cpus=1, memory_mib=4096)
    weak = [Limitation.NETWORK_NOT_ISOLATED]

    assert any_room.order(platform="win_amd64") == []
    assert any_room.order(limitations=weak, capacity=little) == [plain.run_id]
    assert any_room.order(capacity=little) == [production.run_id]
    assert any_room.order(labels={"gpu": "a100", "zone": "eu"}, capacity=little) == [labeled.run_id]
    assert any_room.order() == [large.run_id]


def test_projects_take_turns_by_the_cores_they_use(any_room: WaitingRoom) -> None:
    first = [any_room.submit(resources=TWO_CORES).run_id for _ in range(2)]
    second = [any_room.submit("beta").run_id for _ in range(4)]
    assert any_room.order() == [first[0], second[0], second[1], first[1], second[2], second[3]]


def test_a_heavier_project_gets_its_share(any_room: WaitingRoom) -> None:
    any_room.put_quota("demo", weight=3)
    first = [any_room.submit().run_id for _ in range(6)]
    second = [any_room.submit("beta").run_id for _ in range(2)]
    assert any_room.order() == [first[0], second[0], *first[1:4], second[1], *first[4:]]


def test_a_run_that_is_held_back_is_let_in_when_its_time_has_come(any_room: WaitingRoom) -> None:
    held = any_room.submit_held(5, priority=9)
    any_room.desk.later(4)
    any_room.desk.reconcile()
    assert any_room.order() == []

    any_room.desk.later(1)
    any_room.desk.reconcile()

    assert any_room.order() == [held.run_id]


@pytest.mark.parametrize(("bound", "room_for"), [(None, 3), (0, 0), (1, 1), (2, 2)])
def test_no_more_runs_at_a_time_than_the_quota_allows(any_room: WaitingRoom, bound: int | None, room_for: int) -> None:
    any_room.put_quota(concurrent_runs=bound)
    runs = [any_room.submit().run_id for _ in range(3)]
    other = any_room.submit("beta").run_id

    taken = any_room.order()

    assert sorted(taken) == sorted([*runs[:room_for], other])


def test_an_end_makes_room_for_the_next(room: WaitingRoom) -> None:
    room.put_quota(concurrent_runs=1)
    room.submit(), room.submit()
    lease = room.desk.leased()
    room.desk.start(lease)
    assert room.ask(REMOTE) is None

    room.desk.end(lease)

    assert room.ask(REMOTE) is not None


@pytest.mark.parametrize("bounds", [{"cpu_hours": 1.0}, {"memory_gib_hours": 2.0}])
def test_hours_are_those_from_start_to_end_and_hold_back_the_next(
    any_room: WaitingRoom, bounds: dict[str, Any]
) -> None:
    any_room.put_quota(period_days=1, **bounds)
    for _ in range(3):
        any_room.submit()
    any_room.run_for(HOUR / 2)
    assert any_room.quota().usage == Usage(
        concurrent_runs=0, cpus=0, cpu_hours=0.5, memory_gib_hours=1.0, gpu_hours=0,
        since=any_room.desk.now.replace(hour=0, minute=0, second=0, microsecond=0),
    )  # fmt: skip

    any_room.run_for(HOUR / 2)
    assert any_room.ask() is None

    any_room.desk.later(24 * HOUR)
    assert any_room.ask() is not None


def test_a_run_that_goes_on_counts_until_now(any_room: WaitingRoom) -> None:
    any_room.put_quota(cpu_hours=1)
    any_room.submit(resources=TWO_CORES), any_room.submit()
    lease = any_room.desk.leased()
    any_room.desk.start(lease)
    assert any_room.quota().usage.cpus == 2

    any_room.live(lease, HOUR / 2)

    assert any_room.quota().usage.cpu_hours == pytest.approx(1)
    assert any_room.ask(REMOTE) is None


def test_accelerators_used_up_hold_back_only_who_needs_one(room: WaitingRoom) -> None:
    room.put_quota(gpu_hours=0)
    room.submit(resources=Resources(gpus=1), priority=1)
    plain = room.submit()
    assert room.order() == [plain.run_id]


def test_the_newest_quota_counts_and_each_is_audited(room: WaitingRoom) -> None:
    first, second = room.put_quota(concurrent_runs=0), room.put_quota()
    run = room.submit()

    assert (first.version, second.version) == (1, 2)
    assert room.quota().quota == second
    assert room.order() == [run.run_id]
    stored = [record for record in room.desk.audit(run.project_id) if record.action is Action.QUOTA_STORED]
    assert [record.details["concurrent_runs"] for record in stored] == [0, None]


def test_a_higher_priority_than_allowed_is_refused_and_says_so(room: WaitingRoom) -> None:
    room.put_quota(max_priority=10)
    room.submit(priority=10), room.submit(priority=-100)

    with pytest.raises(InvalidError) as caught:
        room.submit(priority=11)

    assert (caught.value.code, caught.value.faults[0].path) == ("priority_limit_exceeded", "$.priority")
    assert "at most 10" in caught.value.detail


@pytest.mark.parametrize(
    "bounds",
    [{"concurrent_runs": -1}, {"cpu_hours": -0.5}, {"period_days": 0}, {"weight": 0.0}, {"max_priority": 101},
     {"gpu_hours": float("inf")}],
)  # fmt: skip
def test_a_quota_that_means_nothing_is_refused_with_its_place(room: WaitingRoom, bounds: dict[str, Any]) -> None:
    with pytest.raises(InvalidError) as caught:
        room.put_quota(**bounds)
    assert [fault.path for fault in caught.value.faults] == [f"$.{name}" for name in bounds]


@pytest.mark.parametrize("who", [ED, VIC])
def test_only_the_platform_sets_quotas(room: WaitingRoom, who: Any) -> None:
    with pytest.raises(DeniedError, match="platform"):
        room.desk.do(who, "quotas.put", PutQuota(), project="demo")


def test_a_stranger_learns_nothing_of_a_projects_quota(room: WaitingRoom) -> None:
    for operation in ("quotas.put", "quotas.read"):
        with pytest.raises(UnseenError):
            room.desk.do(NOBODY, operation, PutQuota(), project="demo")


def test_an_executor_is_registered_once_and_again_when_it_has_become_another(room: WaitingRoom) -> None:
    half, whole = Capacity(cpus=0.5, memory_mib=512), Capacity(cpus=4, memory_mib=8192)
    for offer in ({"capacity": whole}, {"capacity": half}, {"labels": {"zone": "eu"}, "capacity": half}):
        room.ask(**offer)
        room.desk.later(1)

    page = room.desk.do(ADA, "executors.list", ListQuery())

    assert room.desk.actions().count("executor.registered") == 2
    assert [(it.name, it.labels, it.capacity, it.largest) for it in page.items] == [
        ("local", {"zone": "eu"}, half, half),
    ]


def test_what_an_executor_has_free_is_known_after_it_took_a_run(room: WaitingRoom) -> None:
    whole = Capacity(cpus=4, memory_mib=8192, gpus=1)
    room.submit()
    room.ask(capacity=whole)

    known = room.desk.read(lambda uow: uow.executors.get("local"))

    assert known is not None
    assert (known.capacity, known.largest) == (Capacity(cpus=3, memory_mib=6144, gpus=1), whole)


def test_an_executor_that_asks_every_moment_is_written_down_rarely(room: WaitingRoom) -> None:
    seen = []
    for _ in range(12):
        room.ask()
        known = room.desk.read(lambda uow: uow.executors.get("local"))
        assert known is not None
        seen.append(known.last_seen_at)
        room.desk.later(1)
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    "offer",
    [{"labels": {"gpu": "a 100"}}, {"labels": {f"l{n}": "x" for n in range(17)}}, {"platform": "Linux!"},
     {"capacity": Capacity(cpus=float("nan"), memory_mib=1)}],
)  # fmt: skip
def test_an_executor_that_says_nonsense_is_refused_and_not_registered(room: WaitingRoom, offer: dict[str, Any]) -> None:
    with pytest.raises(InvalidError):
        room.ask(**offer)
    assert room.desk.read(lambda uow: uow.executors.get("local")) is None


def test_only_the_platform_lists_executors(room: WaitingRoom) -> None:
    with pytest.raises(DeniedError):
        room.desk.do(ED, "executors.list", ListQuery())


def test_two_dispatchers_never_give_one_run_twice(any_desk: Desk, database_url: str) -> None:
    room = WaitingRoom(any_desk)
    room.open("demo")
    room.put_quota(concurrent_runs=9)
    runs = {room.submit(priority=number % 3).run_id for number in range(12)}
    second = Desk(open_database(database_url), limits=any_desk.limits)

    def lease(number: int) -> str | None:
        desk, who = ((any_desk, LOCAL), (second, REMOTE))[number % 2]
        call = desk.call(who)
        endpoint = BY_OPERATION["executions.lease"]
        reply = desk.write(lambda uow: access.perform(uow, call, endpoint, LeaseRequest()))
        return reply.lease and str(reply.lease.run_id)

    try:
        with ThreadPoolExecutor(8) as pool:
            taken = [run for run in pool.map(lease, range(16)) if run]
    finally:
        second.database.close()
    assert len(taken) == len(set(taken)) == 9
    assert set(taken) <= runs
