# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``world`` is an executor of one slot that asks for work until the test is over."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from animus_contracts.executions import Capacity, LeaseRequest
from animus_contracts.runs import Limitation
from animus_executor.agent import Agent
from animus_executor.attempts import Attempts
from animus_executor.cancellations import CancellationWatch
from animus_executor.control_plane import ControlPlane
from animus_executor.machine import Occupancy
from animus_executor.runs import RunFolders
from animus_executor.settings import Settings
from tests.fakes.backend import FakeBackend
from tests.fakes.control_plane import EXECUTOR_TOKEN, ControlPlaneSimulator
from tests.unit.executor.one_slot import OFFLINE_SECONDS, Prepared, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with ControlPlaneSimulator(lease_seconds=0.6, heartbeat_seconds=0.05) as simulator:
        backend, prepared = FakeBackend(), Prepared(tmp_path)
        control_plane = ControlPlane(simulator.url, EXECUTOR_TOKEN)
        attempts = Attempts(
            settings=Settings(
                control_plane=simulator.url,
                name="local",
                token=EXECUTOR_TOKEN,
                data=tmp_path,
                offline_seconds=OFFLINE_SECONDS,
            ),
            control_plane=control_plane,
            environments=prepared,
            kernel_parents=prepared,
            backend=backend,
            folders=RunFolders(tmp_path / "data"),
            support=tmp_path,
            occupancy=Occupancy(Capacity(cpus=4.0, memory_mib=8192)),
        )
        request = LeaseRequest(limitations=[Limitation.MEMORY_NOT_LIMITED])
        agent = Agent(control_plane, attempts.execute, describe=lambda: request, occupancy=attempts.occupancy, slots=1)
        watch = CancellationWatch(control_plane, attempts.active)
        watch.start()
        agent.start()
        yield World(simulator, backend, prepared, attempts, agent)
        agent.stop()
        watch.stop()
        backend.close()
        simulator.close_queue()
        agent.join(10.0)
        control_plane.close()
