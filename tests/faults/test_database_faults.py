# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""F3: the database ends connections, is restarted, is held by somebody else, takes too long; and all is well again."""

from __future__ import annotations

import random
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from animus_contracts.identifiers import LockId
from animus_contracts.runs import SubmitRun
from tests.conftest import TEMPLATE
from tests.faults.caller import Caller, UnansweredError
from tests.faults.campaign import Campaign, sized
from tests.faults.plant import ADMIN, Plant, a_plant
from tests.faults.traffic import CODE, PROJECT, Traffic, prepare
from tests.postgres_server import PostgresServer, find_binaries, running

pytestmark = [pytest.mark.faults, pytest.mark.timeout(sized(240, 2 * 3600))]

LEASE_SECONDS = 2
TERMINATIONS = sized(40, 1000)
RESTARTS = sized(2, 20)
HOLDS = sized(1, 10)
HELD_SECONDS = sized(8, 30)
RECOVERY_SECONDS = 10.0
TERMINATE = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s AND pid <> pg_backend_pid()"


def accepted_after(plant: Plant, lock: LockId, key: str) -> float:
    """Submit until that is acknowledged; return how long it took."""
    caller, began = Caller([plant.url], []), time.monotonic()
    message = SubmitRun(code=CODE, environment_lock_id=lock)
    while True:
        try:
            caller.call(plant.tokens[ADMIN], "runs.submit", message, key=key, project=PROJECT)
        except UnansweredError:
            time.sleep(0.05)
        else:
            caller.close()
            return time.monotonic() - began


def terminate(server: PostgresServer, database: str, chance: random.Random, campaign: Campaign) -> None:
    """End all or one of the connections to a database, whatever they are doing."""
    with psycopg.connect(server.url(), autocommit=True) as connection:
        one = chance.random() < 0.5
        limit = f"{TERMINATE} ORDER BY random() LIMIT 1" if one else TERMINATE
        campaign.faults["connections ended"] += connection.execute(limit, (database,)).rowcount


@pytest.mark.postgres
def test_ended_connections_and_restarts_of_postgresql_lose_nothing(
    tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    binaries = find_binaries()
    if binaries is None:
        pytest.skip("this machine has no PostgreSQL server")
    f3 = campaign("F3 PostgreSQL ends connections, restarts")
    chance = f3.chance()
    with running(binaries, settings=()) as server:
        url = server.create("animus")
        with a_plant(tmp_path, lease_seconds=LEASE_SECONDS, database_url=url, executes=False) as plant:
            lock = prepare(plant)
            with Traffic(plant, lock, f3.seed, pause=0.05) as traffic:
                while f3.faults["connections ended"] < TERMINATIONS:
                    time.sleep(chance.uniform(0.0, 0.3))
                    terminate(server, "animus", chance, f3)
                for number in range(RESTARTS):
                    time.sleep(chance.uniform(0.2, 1.0))
                    server.stop()
                    time.sleep(chance.uniform(0.0, 1.0))
                    server.start()
                    f3.faults["server restarted"] += 1
                    f3.recoveries.append(accepted_after(plant, lock, f"after-{number}"))
                traffic.judge(f3)
    assert max(f3.recoveries) < RECOVERY_SECONDS


@pytest.mark.postgres
def test_a_statement_that_waits_too_long_is_given_up_and_nothing_is_lost(
    postgres_server: PostgresServer, tmp_path: Path, campaign: Callable[[str], Campaign]
) -> None:
    f3 = campaign("F3 PostgreSQL tables are locked")
    name = f"locked_{tmp_path.name[-20:].replace('-', '_').lower()}"
    url = postgres_server.create(name, template=TEMPLATE)
    with a_plant(tmp_path, lease_seconds=LEASE_SECONDS, database_url=url, executes=False) as plant:
        lock = prepare(plant)
        with Traffic(plant, lock, f3.seed, pause=0.05) as traffic:
            for number in range(HOLDS):
                time.sleep(0.5)
                with psycopg.connect(url) as other:
                    other.execute("LOCK TABLE runs, audit_head IN ACCESS EXCLUSIVE MODE")
                    time.sleep(HELD_SECONDS)
                f3.faults["tables locked"] += 1
                f3.recoveries.append(accepted_after(plant, lock, f"after-{number}"))
            traffic.judge(f3)
    postgres_server.drop(name)
    assert max(f3.recoveries) < RECOVERY_SECONDS


def test_a_sqlite_database_that_is_held_loses_nothing(tmp_path: Path, campaign: Callable[[str], Campaign]) -> None:
    f3 = campaign("F3 SQLite is held by somebody else")
    chance = f3.chance()
    with a_plant(tmp_path, lease_seconds=LEASE_SECONDS, executes=False) as plant:
        lock = prepare(plant)
        with Traffic(plant, lock, f3.seed, pause=0.05) as traffic:
            for number in range(HOLDS):
                time.sleep(chance.uniform(0.2, 1.0))
                other = sqlite3.connect(tmp_path / "control.sqlite", isolation_level=None)
                other.execute("BEGIN IMMEDIATE")
                time.sleep(HELD_SECONDS)
                other.execute("ROLLBACK")
                other.close()
                f3.faults["database held"] += 1
                f3.recoveries.append(accepted_after(plant, lock, f"after-{number}"))
            traffic.judge(f3)
    assert max(f3.recoveries) < RECOVERY_SECONDS
