# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""No executor asks for more than it has free, however many slots ask at once."""

from __future__ import annotations

import threading
import time

from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity, Lease, LeaseRequest
from animus_executor import machine
from animus_executor.agent import Agent
from animus_executor.machine import Occupancy
from tests.fakes.plans import a_lease, a_plan

MACHINE = Capacity(cpus=4.0, memory_mib=8192, gpus=1)
SMALL = Resources(cpus=1.0, memory_mib=2048)
LARGE = Resources(cpus=3.0, memory_mib=1024, gpus=1)


def test_what_attempts_take_is_not_free_until_they_are_over() -> None:
    occupancy = Occupancy(MACHINE)
    assert (occupancy.is_idle, occupancy.free()) == (True, MACHINE)
    occupancy.take("a", SMALL)
    occupancy.take("b", LARGE)
    assert (occupancy.is_idle, occupancy.free()) == (False, Capacity(cpus=0.0, memory_mib=5120, gpus=0))
    occupancy.release("b")
    occupancy.release("nobody")
    assert occupancy.free() == Capacity(cpus=3.0, memory_mib=6144, gpus=1)


def test_a_machine_that_adopted_more_than_it_may_take_has_nothing_free_and_owes_nothing() -> None:
    occupancy = Occupancy(Capacity(cpus=1.0, memory_mib=1024))
    occupancy.take("a", LARGE)
    assert occupancy.free() == Capacity(cpus=0.0, memory_mib=0, gpus=0)


def test_this_machine_has_cores_and_memory() -> None:
    assert machine.cpus() >= 1
    assert machine.memory_mib() > 256


class Queue:
    """Grants a run of one core whenever one core is said to be free, after a while."""

    def __init__(self) -> None:
        self.requests: list[LeaseRequest] = []
        self.asking = self.most = 0

    def lease(self, request: LeaseRequest) -> Lease | None:
        self.asking += 1
        self.most = max(self.most, self.asking)
        self.requests.append(request)
        time.sleep(0.02)
        self.asking -= 1
        assert request.capacity is not None
        return a_lease(a_plan(resources=SMALL)) if request.capacity.cpus >= 1 else None


def test_slots_ask_in_turns_and_each_lease_counts_before_the_next_question() -> None:
    queue, occupancy, over = Queue(), Occupancy(MACHINE), threading.Event()
    taken: list[str] = []

    def execute(lease: Lease, asked_at: float) -> None:
        assert asked_at <= time.monotonic()
        taken.append(lease.execution_id)
        over.wait(10.0)
        occupancy.release(lease.execution_id)

    request = LeaseRequest(labels={"zone": "eu"})
    agent = Agent(queue, execute, request=request, occupancy=occupancy, slots=8)
    agent.start()
    deadline = time.monotonic() + 5.0
    while len(queue.requests) < 8:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    agent.stop()
    over.set()
    agent.join(5.0)
    assert queue.most == 1
    assert len(taken) == 4
    frees = [request.capacity.cpus for request in queue.requests[:5] if request.capacity]
    assert frees == [4.0, 3.0, 2.0, 1.0, 0.0]
    assert {request.labels["zone"] for request in queue.requests} == {"eu"}
    waits = [request.wait_seconds for request in queue.requests[:5]]
    assert waits[0] > waits[1] == waits[4]


def test_adopted_attempts_have_slots_of_their_own_even_when_they_are_more_than_the_slots() -> None:
    began = threading.Barrier(4)
    queue, occupancy = Queue(), Occupancy(Capacity(cpus=0.5, memory_mib=8192))
    agent = Agent(
        queue,
        lambda *_: None,
        request=LeaseRequest(),
        occupancy=occupancy,
        slots=2,
        adopted=[lambda: began.wait(5.0) and None for _ in range(3)],
    )
    agent.start()
    began.wait(5.0)
    agent.stop()
    agent.join(5.0)
    assert queue.most <= 1


def test_an_adopted_attempt_that_breaks_does_not_take_the_slot_away() -> None:
    queue, occupancy = Queue(), Occupancy(Capacity(cpus=0.5, memory_mib=8192))

    def breaks() -> None:
        raise RuntimeError("no")

    agent = Agent(queue, lambda *_: None, request=LeaseRequest(), occupancy=occupancy, slots=1, adopted=[breaks])
    agent.start()
    deadline = time.monotonic() + 5.0
    while not queue.requests:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    agent.stop()
    agent.join(5.0)
