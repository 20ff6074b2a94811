# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Two control planes on one PostgreSQL work as one: nothing is dispatched twice, and one goes on without the other."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from animus_contracts.executions import Lease, LeaseRequest
from animus_contracts.identifiers import LockId
from animus_contracts.runs import SubmitRun
from tests.conftest import TEMPLATE
from tests.faults.caller import Caller, UnansweredError
from tests.faults.campaign import Campaign, sized
from tests.faults.plant import ADMIN, CONTROL, EXECUTOR, SECOND_CONTROL, SECOND_EXECUTOR, Plant, a_plant
from tests.faults.traffic import CODE, PROJECT, Traffic, prepare
from tests.postgres_server import PostgresServer

pytestmark = [pytest.mark.faults, pytest.mark.postgres, pytest.mark.timeout(sized(240, 3600))]

BOTH = (CONTROL, SECOND_CONTROL)
LEASE_SECONDS = 2
TAKEOVER_SECONDS = 30.0
HANG_SECONDS = 15.0
WAKEUP_SECONDS = 1.5
ROUNDS = sized(2, 60)


@pytest.fixture
def plant(postgres_server: PostgresServer, tmp_path: Path) -> Iterator[Plant]:
    """Two control planes, and no executor but those of the test."""
    name = f"two_{tmp_path.name[-24:].replace('-', '_').lower()}"
    url = postgres_server.create(name, template=TEMPLATE)
    with a_plant(tmp_path, lease_seconds=LEASE_SECONDS, database_url=url, executes=False) as plant:
        plant.start(SECOND_CONTROL)
        plant.wait_ready(SECOND_CONTROL)
        yield plant
    postgres_server.drop(name)


def submit(plant: Plant, lock: LockId, control: str) -> str:
    with plant.client(PROJECT, control=control) as client:
        return client.runs.submit(SubmitRun(code=CODE, environment_lock_id=lock)).run_id


def until_accepted(plant: Plant, lock: LockId, control: str) -> float:
    """Submit at one control plane until that is acknowledged; return how long it took."""
    caller, began = Caller([plant.url_of(control)], []), time.monotonic()
    message = SubmitRun(code=CODE, environment_lock_id=lock)
    while True:
        with suppress(UnansweredError):
            caller.call(plant.tokens[ADMIN], "runs.submit", message, key="takeover", project=PROJECT)
            caller.close()
            return time.monotonic() - began
        time.sleep(0.1)


def test_a_run_submitted_at_one_wakes_an_executor_that_waits_at_the_other(plant: Plant) -> None:
    lock = prepare(plant)
    caller = Caller([plant.url_of(SECOND_CONTROL)], [])
    token = plant.executor_token(SECOND_EXECUTOR)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(caller.call, token, "executions.lease", LeaseRequest(wait_seconds=20))
        time.sleep(1.0)
        assert not waiting.done()
        began = time.monotonic()
        run_id = submit(plant, lock, CONTROL)
        lease: Lease = waiting.result(20).lease
    assert time.monotonic() - began < WAKEUP_SECONDS
    assert lease.run_id == run_id
    caller.close()


def test_one_that_hangs_in_the_middle_of_a_transaction_is_not_waited_for_longer_than_promised(
    plant: Plant, campaign: Callable[[str], Campaign]
) -> None:
    f19 = campaign("F19 one of two hangs in a transaction")
    lock = prepare(plant)
    plant.kill(CONTROL)
    plant.start(CONTROL, failpoints="after_flush=delay:300@40")
    plant.wait_ready()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and hangs_not(plant):
        time.sleep(0.2)
    f19.faults["hung with the lock"] += 1
    f19.recoveries.append(until_accepted(plant, lock, SECOND_CONTROL))
    plant.kill(CONTROL)
    f19.finish()
    assert max(f19.recoveries) < HANG_SECONDS


def hangs_not(plant: Plant) -> bool:
    """Ask for a write until none is answered any more."""
    caller = Caller([plant.url_of(CONTROL)], [])
    caller.set_timeout(1.0)
    try:
        caller.call(plant.executor_token(EXECUTOR), "executions.lease", LeaseRequest(wait_seconds=0))
    except UnansweredError:
        return False
    finally:
        caller.close()
    return True


def test_killed_and_frozen_in_turn_they_lose_nothing_and_dispatch_nothing_twice(
    plant: Plant, campaign: Callable[[str], Campaign]
) -> None:
    f19 = campaign("F19 two control planes")
    chance = f19.chance()
    lock = prepare(plant)
    with Traffic(plant, lock, f19.seed, controls=BOTH, users=2, executors=4, pause=0.1) as traffic:
        for _ in range(ROUNDS):
            victim, other = chance.sample(BOTH, 2)
            time.sleep(chance.uniform(0.5, 1.5))
            plant.kill(victim)
            f19.faults["killed"] += 1
            f19.recoveries.append(until_accepted(plant, lock, other))
            plant.start(victim)
            plant.wait_ready(victim)
            frozen, other = chance.sample(BOTH, 2)
            time.sleep(chance.uniform(0.5, 1.5))
            os.kill(plant.processes[frozen].pid, signal.SIGSTOP)
            f19.faults["frozen for three leases"] += 1
            f19.recoveries.append(until_accepted(plant, lock, other))
            time.sleep(3 * LEASE_SECONDS)
            os.kill(plant.processes[frozen].pid, signal.SIGCONT)
            plant.wait_ready(frozen)
        traffic.judge(f19)
    assert max(f19.recoveries) < TAKEOVER_SECONDS
