# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``animus-executor``: leases runs and executes them until it is told to stop.

``animus-executor end <data folder>`` ends what one that is gone has left there, and says what that was.

Told to stop (SIGTERM, SIGINT), it ends its attempts as failed by infrastructure, so that nobody waits for them, unless
it is to leave them. Killed, it leaves them in any case; the next one that is started with the same data folder goes on
with what was left.
"""

from __future__ import annotations

import faulthandler
import logging
import os
import signal
import sys
import sysconfig
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from animus_contracts.executions import LeaseRequest
from animus_executor import caches
from animus_executor.agent import Agent
from animus_executor.attempts import Attempts
from animus_executor.backends.process import ProcessBackend
from animus_executor.cancellations import CancellationWatch
from animus_executor.control_plane import ControlPlane
from animus_executor.environments import Environments
from animus_executor.failpoints import arm
from animus_executor.folders import remove
from animus_executor.kernel_parents import KernelParents
from animus_executor.machine import Occupancy
from animus_executor.owner import FolderTakenError, owned
from animus_executor.remains import end_remains
from animus_executor.runs import Record, RunFolders
from animus_executor.settings import Settings, SettingsError, read_settings
from animus_executor.stopping import Stopping
from animus_executor.support import provide_support
from animus_executor.tasks import TaskWorker

STOP_SECONDS = 15.0
KEPT_KERNEL_PARENTS = 4
TRIM_SECONDS = 600.0

log = logging.getLogger(__name__)


def main() -> int:
    """Run the executor; return its exit status."""
    faulthandler.enable()  # a crash in a library leaves more than silence
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if sys.argv[1:]:
        return end(sys.argv[1:])
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"animus-executor: {error}\n")
        return 2
    arm(settings.failpoints)
    stopping = Stopping()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    try:
        with owned(settings.data):
            serve(settings, stopping)
    except FolderTakenError as error:
        sys.stderr.write(f"animus-executor: {error}\n")
        return 2
    return 0


def end(arguments: Sequence[str]) -> int:
    """End what an executor has left in a data folder, and say what; return the exit status."""
    match arguments:
        case ["end", data]:
            pass
        case _:
            sys.stderr.write("animus-executor: no arguments, or: end <data folder>\n")
            return 2
    try:
        ended = end_remains(Path(data).resolve())
    except FolderTakenError:
        sys.stderr.write(f"animus-executor: an executor works in {data}: stop it first\n")
        return 2
    for run_id in ended:
        sys.stdout.write(f"Ended run {run_id}; what it had is delivered if an executor comes back to {data}.\n")
    return 0


def serve(settings: Settings, stopping: Stopping) -> None:
    """Execute runs until ``stopping`` is set.

    Args:
        settings: The configuration.
        stopping: Set by whoever wants the executor to end.
    """
    control_plane = ControlPlane(settings.control_plane, settings.token)
    sockets = settings.data / "sockets"  # a short name, because sockets have short names
    remove(sockets)
    sockets.mkdir(mode=0o700)
    backend, kernel_parents = ProcessBackend(sockets), KernelParents(sockets, KEPT_KERNEL_PARENTS)
    environments = Environments(settings.data / "environments", settings.environments)
    folders = RunFolders(settings.data)
    left = list(folders.left())
    attempts = Attempts(
        settings=settings,
        control_plane=control_plane,
        environments=environments,
        kernel_parents=kernel_parents,
        backend=backend,
        folders=folders,
        support=provide_support(settings.data / "support", is_shared=bool(left)),
        occupancy=Occupancy(settings.capacity),
    )
    threads = workers(attempts, control_plane, left, describe=partial(description, settings, backend))
    for each in threads:
        each.start()
    environments.trim(spared=[Path(record.environment) for record in left])  # the predecessor may have left half a one
    log.info("executor %s takes runs from %s in %d slots", settings.name, settings.control_plane, settings.slots)
    while not stopping.wait(TRIM_SECONDS):
        environments.trim()
        caches.trim(folders.cache / "objects", settings.cache_mib << 20)
    for each in threads:
        each.stop()
    if not settings.leaves_runs:
        stop_attempts(attempts)
    elif attempts.active:
        log.info("left %d runs to the next executor; 'animus-executor end' ends them", len(attempts.active))
    backend.close()
    kernel_parents.close()


def workers(
    attempts: Attempts, control_plane: ControlPlane, left: Sequence[Record], *, describe: Callable[[], LeaseRequest]
) -> tuple[Agent, CancellationWatch, TaskWorker]:
    """Build what asks for runs, cancellations and tasks.

    Args:
        attempts: What executes attempts; what is left takes its part of the machine before anything is asked for.
        control_plane: Who is asked.
        left: What a predecessor left, which is gone on with.
        describe: Says what this executor is.
    """
    settings, folders, occupancy = attempts.settings, attempts.folders, attempts.occupancy
    for record in left:
        occupancy.take(record.execution_id, record.resources)
    agent = Agent(
        control_plane,
        attempts.execute,
        describe=describe,
        occupancy=occupancy,
        slots=settings.slots,
        adopted=[partial(attempts.adopt, record) for record in left],
    )
    tasks = TaskWorker(control_plane, settings, cache=folders.cache, folder=settings.data / "tasks")
    return agent, CancellationWatch(control_plane, attempts.active), tasks


def description(settings: Settings, backend: ProcessBackend) -> LeaseRequest:
    """Return what this executor says of itself when it asks for a run."""
    return LeaseRequest(
        limitations=backend.limitations,
        platform=sysconfig.get_platform().replace("-", "_").replace(".", "_"),
        labels=dict(settings.labels),
    )


def stop_attempts(attempts: Attempts) -> None:
    """Kill what runs and give its verdicts the time to be reported."""
    for handle in list(attempts.active.values()):
        handle.kill()
    deadline = time.monotonic() + STOP_SECONDS
    while attempts.active and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    raise SystemExit(main())
