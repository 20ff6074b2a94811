# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""No executor asks for more than it has free, however many slots ask at once."""

from __future__ import annotations

import threading
import time

import pytest

from animus_contracts.environments import Resources
from animus_contracts.executions import Capacity, Lease, LeaseRequest
from animus_executor import machine
from animus_executor.agent import Agent
from animus_executor.backends import BackendError
from animus_executor.control_plane import UnreachableError
from animus_executor.machine import Occupancy
from tests.fakes.plans import a_lease, a_plan
from tests.patience import until

MACHINE = Capacity(cpus=4.0, memory_mib=8192, gpus=1)
SMALL = Resources(cpus=1.0, memory_mib=2048)
LARGE = Resources(cpus=3.0, memory_mib=1024, gpus=1)


def test_what_attempts_take_is_not_free_until_they_are_over() -> None:
    occupancy = Occupancy(MACHINE)
    assert occupancy.free() == MACHINE
    occupancy.take("a", SMALL)
    occupancy.take("b", LARGE)
    assert occupancy.free() == Capacity(cpus=0.0, memory_mib=5120, gpus=0)
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


def test_what_is_offered_in_parts_is_offered_whole_again() -> None:
    occupancy = Occupancy(MACHINE)
    occupancy.take("a", SMALL)
    with occupancy.offered(0.0) as rest:
        assert rest == Capacity(cpus=3.0, memory_mib=6144, gpus=1)
        occupancy.release("a")
        with occupancy.offered(0.0) as left:
            assert left == Capacity(cpus=1.0, memory_mib=2048)
        with occupancy.offered(0.0) as nothing_new:
            assert nothing_new is None
    with occupancy.offered(0.0) as whole:
        assert whole == MACHINE


def test_what_a_granted_run_leaves_is_offered_beside_other_offers() -> None:
    occupancy = Occupancy(MACHINE)
    occupancy.take("a", LARGE)
    with occupancy.offered(0.0):
        occupancy.release("a")
        with occupancy.offered(0.0):
            occupancy.take("b", Resources(cpus=1.0, memory_mib=512))
        with occupancy.offered(0.0) as left:
            assert left == Capacity(cpus=2.0, memory_mib=512, gpus=1)


class Queue:
    """Grants a run of one core whenever one core is offered, after a while; counts what is offered at one time."""

    def __init__(self) -> None:
        self.requests: list[LeaseRequest] = []
        self.running = self.offered = self.most = 0.0
        self._lock = threading.Lock()

    def lease(self, request: LeaseRequest) -> Lease | None:
        assert request.capacity is not None
        cpus = request.capacity.cpus
        with self._lock:
            self.requests.append(request)
            self.offered += cpus
            self.most = max(self.most, self.offered + self.running)
        time.sleep(0.02)
        with self._lock:
            self.offered -= cpus
            self.running += cpus >= 1
        return a_lease(a_plan(resources=SMALL)) if cpus >= 1 else None


def test_no_core_is_offered_twice_however_many_slots_ask() -> None:
    queue, occupancy, over = Queue(), Occupancy(MACHINE), threading.Event()
    taken: list[str] = []

    def execute(lease: Lease, asked_at: float) -> None:
        assert asked_at <= time.monotonic()
        taken.append(lease.execution_id)
        over.wait(10.0)
        occupancy.release(lease.execution_id)

    request = LeaseRequest(labels={"zone": "eu"})
    agent = Agent(queue, execute, describe=lambda: request, occupancy=occupancy, slots=8)
    agent.start()
    time.sleep(0.8)
    agent.stop()
    over.set()
    agent.join(5.0)
    assert len(taken) == 4
    assert queue.most <= 4.0
    assert [request.capacity.cpus for request in queue.requests if request.capacity] == [4.0, 3.0, 2.0, 1.0]
    assert {request.labels["zone"] for request in queue.requests} == {"eu"}
    waits = [request.wait_seconds for request in queue.requests]
    assert waits[0] > waits[1] == waits[3]


def test_what_becomes_free_is_offered_at_once_beside_what_is_offered_already() -> None:
    occupancy = Occupancy(MACHINE)
    occupancy.take("a", LARGE)
    with occupancy.offered(0) as first:
        assert first == Capacity(cpus=1.0, memory_mib=7168, gpus=0)
        with occupancy.offered(0) as nothing:
            assert nothing is None
        threading.Timer(0.1, occupancy.release, ("a",)).start()
        with occupancy.offered(5.0) as second:
            assert second == Capacity(cpus=3.0, memory_mib=1024, gpus=1)
    assert occupancy.free() == MACHINE


def test_an_offer_ends_with_its_question_also_when_nobody_answers_it() -> None:
    occupancy = Occupancy(MACHINE)
    with pytest.raises(UnreachableError), occupancy.offered(0):
        raise UnreachableError("away")
    assert occupancy.free() == MACHINE


def test_adopted_attempts_have_slots_of_their_own_even_when_they_are_more_than_the_slots() -> None:
    began = threading.Barrier(4)
    queue, occupancy = Queue(), Occupancy(Capacity(cpus=0.5, memory_mib=8192))
    agent = Agent(
        queue,
        lambda *_: None,
        describe=LeaseRequest,
        occupancy=occupancy,
        slots=2,
        adopted=[lambda: began.wait(5.0) and None for _ in range(3)],
    )
    agent.start()
    began.wait(5.0)
    agent.stop()
    agent.join(5.0)


def test_an_adopted_attempt_that_breaks_does_not_take_the_slot_away() -> None:
    queue, occupancy = Queue(), Occupancy(Capacity(cpus=0.5, memory_mib=8192))

    def breaks() -> None:
        raise RuntimeError("no")

    agent = Agent(queue, lambda *_: None, describe=LeaseRequest, occupancy=occupancy, slots=1, adopted=[breaks])
    agent.start()
    until(lambda: queue.requests)
    agent.stop()
    agent.join(5.0)


def test_a_backend_that_cannot_say_what_it_lacks_is_asked_again() -> None:
    queue, answers = Queue(), [BackendError("the runner parent did not start"), LeaseRequest(labels={"try": "second"})]

    def describe() -> LeaseRequest:
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BackendError):
            raise answer
        return answer

    occupancy = Occupancy(Capacity(cpus=0.5, memory_mib=8192))
    agent = Agent(queue, lambda *_: None, describe=describe, occupancy=occupancy, slots=1)
    agent.start()
    until(lambda: queue.requests)
    agent.stop()
    agent.join(5.0)
    assert queue.requests[0].labels == {"try": "second"}
