# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A desk before which runs of several projects wait, in an environment that lets them ask for much."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import msgspec

from animus_contracts.endpoints import BY_OPERATION
from animus_contracts.environments import DefineEnvironment, EnvironmentLock, LockEnvironment, Resources
from animus_contracts.executions import Cancellations, CancellationsRequest, Lease, LeaseRequest
from animus_contracts.queues import Waiting
from animus_contracts.quotas import ProjectQuota, PutQuota, Quota
from animus_contracts.runs import CancelRun, CodeRef, Run, SubmitRun
from animus_control.domain.identity import Principal
from animus_control.services import access
from animus_control.services.submission import Ties, admit
from tests.unit.control.services.desk import ADA, ED, LOCAL, REQUIREMENTS, VIC, Desk

MOST = Resources(cpus=64, memory_mib=2**20, gpus=8, wall_seconds=10**6)
ONE_CORE = Resources(cpus=1)
BEAT_SECONDS = 20.0


@dataclass
class WaitingRoom:
    """Submits, leases and asks; times are in seconds of the desk's clock."""

    desk: Desk
    locks: dict[str, EnvironmentLock] = field(default_factory=dict)

    def open(self, *names: str) -> None:
        """Make projects with an environment each."""
        for name in names:
            self.desk.project(name)
            self.locks[name] = self._lock(name)

    def message(self, project: str = "demo", **changes: Any) -> SubmitRun:
        """Build the submission of a run of one core."""
        message = SubmitRun(
            code=CodeRef(repository="file:///srv/a.git", commit="0a" * 20, path="train.ipynb"),
            environment_lock_id=self.locks[project].lock_id,
            resources=ONE_CORE,
        )
        return msgspec.structs.replace(message, **changes)

    def submit(self, project: str = "demo", **changes: Any) -> Run:
        """Submit a run of one core."""
        run: Run = self.desk.do(ED, "runs.submit", self.message(project, **changes), project=project)
        return run

    def submit_held(self, seconds: float, **changes: Any) -> Run:
        """Submit a run as the platform does that holds it back."""
        message, ties = self.message(**changes), Ties(not_before=self.desk.now + timedelta(seconds=seconds))
        call, endpoint = self.desk.call(ED, project="demo"), BY_OPERATION["runs.submit"]
        return self.desk.write(lambda uow: admit(uow, access.enter(uow, call, endpoint), message, ties))

    def ask(self, who: Principal = LOCAL, **offer: Any) -> Lease | None:
        """Ask for a run as an executor that offers this."""
        lease: Lease | None = self.desk.do(who, "executions.lease", LeaseRequest(**offer)).lease
        return lease

    def order(self, **offer: Any) -> list[str]:
        """Take everything there is and return the runs in the order in which they came."""
        taken = []
        while (lease := self.ask(**offer)) is not None:
            taken.append(str(lease.run_id))
        return taken

    def put_quota(self, project: str = "demo", **bounds: Any) -> Quota:
        """Set a project's quota."""
        quota: Quota = self.desk.do(ADA, "quotas.put", PutQuota(**bounds), project=project)
        return quota

    def quota(self, project: str = "demo") -> ProjectQuota:
        """Read a project's quota and what it uses."""
        found: ProjectQuota = self.desk.do(VIC, "quotas.read", None, project=project)
        return found

    def waiting(self, run: Run) -> Waiting:
        """Ask why a run waits."""
        told: Waiting = self.desk.do(VIC, "runs.waiting", None, project="demo", run=run.run_id)
        return told

    def cancellations(self, who: Principal = LOCAL, *known: str) -> list[str]:
        """Ask which attempts are to be stopped."""
        reply: Cancellations = self.desk.do(who, "executions.cancellations", CancellationsRequest(known=[*known]))
        return [str(item) for item in reply.cancel]

    def cancel(self, run: Run) -> Run:
        """Ask for a run to be stopped."""
        answer: Run = self.desk.do(ED, "runs.cancel", CancelRun(reason="enough"), project="demo", run=run.run_id)
        return answer

    def live(self, lease: Lease, seconds: float) -> None:
        """Let a started attempt live for some time, with heartbeats."""
        while seconds > 0:
            step = min(seconds, BEAT_SECONDS)
            self.desk.later(step)
            self.desk.heartbeat(lease)
            seconds -= step

    def run_for(self, seconds: float) -> None:
        """Take the next run, let it run for some time and end it well."""
        lease = self.desk.leased()
        self.desk.start(lease)
        self.live(lease, seconds)
        self.desk.end(lease)

    def _lock(self, project: str) -> EnvironmentLock:
        message = DefineEnvironment(name="large", python="3.11", limits=MOST)
        environment = self.desk.do(ED, "environments.define", message, project=project)
        locking = LockEnvironment(environment_id=environment.environment_id, requirements=REQUIREMENTS)
        lock: EnvironmentLock = self.desk.do(ED, "environment_locks.create", locking, project=project)
        return lock
