# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""An executor of one slot before a control plane that is told what to do; runs are played by the test."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from animus_contracts.assignments import AttemptResult
from animus_contracts.executions import EndExecution, Verdict
from animus_contracts.plans import PlannedEnvironment
from animus_contracts.runs import Failure, FailureReason
from animus_executor.agent import Agent
from animus_executor.attempts import Attempts
from animus_executor.installation import InterruptedBuildError, UnrealisableError
from animus_executor.kernel_parents import KernelParentError
from tests.fakes.backend import FakeBackend
from tests.fakes.control_plane import Attempt, ControlPlaneSimulator
from tests.fakes.plans import a_plan

OFFLINE_SECONDS = 2.5
CANARY = "ar_canary-of-these-tests"
CANCELED = AttemptResult(verdict=Verdict.CANCELED)
BROKEN = Failure(reason=FailureReason.USER_CODE, summary="Cell 1 raised ValueError.")


class Prepared:
    """Environments and kernel parents that are always there, unless they are told to fail."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.error: Exception | None = None
        self.is_building = False
        self.uses: list[Path] = []

    @contextmanager
    def realised(self, planned: PlannedEnvironment, stopping: threading.Event) -> Iterator[Path]:
        assert planned.requirements
        if self.is_building:
            assert stopping.wait(10.0)
            raise InterruptedBuildError
        if isinstance(self.error, UnrealisableError):
            raise self.error
        yield self.folder

    @contextmanager
    def held(self, folder: Path) -> Iterator[None]:
        self.uses.append(folder)
        yield

    @contextmanager
    def serving(self, environment: Path) -> Iterator[Path]:
        if isinstance(self.error, KernelParentError):
            raise self.error
        yield environment / "kernels.sock"


@dataclass
class World:
    simulator: ControlPlaneSimulator
    backend: FakeBackend
    prepared: Prepared
    attempts: Attempts
    agent: Agent

    def run(self) -> Attempt:
        """Have one run executed to its end."""
        plan = a_plan()
        self.simulator.submit(plan)
        return self.simulator.ended(plan.run_id, 10.0)


def ended(attempt: Attempt) -> EndExecution:
    assert attempt.ended is not None
    return attempt.ended
