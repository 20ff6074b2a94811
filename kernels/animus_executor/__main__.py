# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``animus-executor``: leases runs and executes them until it is told to stop.

Told to stop (SIGTERM, SIGINT), it ends its attempts as failed by infrastructure, so that nobody waits for them.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import sysconfig
import tempfile
import threading
import time
from pathlib import Path

from animus_contracts.runs import FailureReason
from animus_executor import caches
from animus_executor.agent import Agent
from animus_executor.attempts import Attempts, end_patiently, failed
from animus_executor.backends.process import ProcessBackend
from animus_executor.control_plane import ControlPlane
from animus_executor.environments import Environments
from animus_executor.failpoints import arm
from animus_executor.kernel_parents import KernelParents
from animus_executor.runs import Record, RunFolders
from animus_executor.settings import Settings, SettingsError, read_settings
from animus_executor.support import provide_support

STOP_SECONDS = 15.0
SWEEP_PATIENCE_SECONDS = 60.0
KEPT_KERNEL_PARENTS = 4
TRIM_SECONDS = 600.0

log = logging.getLogger(__name__)


def main() -> int:
    """Run the executor; return its exit status."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        settings = read_settings(os.environ)
    except SettingsError as error:
        sys.stderr.write(f"animus-executor: {error}\n")
        return 2
    arm(settings.failpoints)
    stopping = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopping.set())
    with tempfile.TemporaryDirectory(prefix="animus-") as sockets:
        serve(settings, Path(sockets), stopping)
    return 0


def serve(settings: Settings, sockets: Path, stopping: threading.Event) -> None:
    """Execute runs until ``stopping`` is set.

    Args:
        settings: The configuration.
        sockets: A private folder with a short path.
        stopping: Set by whoever wants the executor to end.
    """
    settings.data.mkdir(parents=True, exist_ok=True, mode=0o700)
    control_plane = ControlPlane(settings.control_plane, settings.token)
    backend, kernel_parents = ProcessBackend(sockets), KernelParents(sockets, KEPT_KERNEL_PARENTS)
    environments = Environments(settings.data / "environments", settings.environments)
    environments.trim()  # a killed predecessor may have left half an environment
    attempts = Attempts(
        settings=settings,
        control_plane=control_plane,
        environments=environments,
        kernel_parents=kernel_parents,
        backend=backend,
        folders=RunFolders(settings.data),
        support=provide_support(settings.data / "support"),
    )
    for record in attempts.folders.sweep():
        threading.Thread(target=report_abandoned, args=(control_plane, record), daemon=True).start()
    agent = Agent(
        control_plane,
        attempts.execute,
        slots=settings.slots,
        limitations=backend.limitations,
        platform=sysconfig.get_platform().replace("-", "_").replace(".", "_"),
    )
    agent.start()
    log.info("executor %s takes runs from %s in %d slots", settings.name, settings.control_plane, settings.slots)
    while not stopping.wait(TRIM_SECONDS):
        environments.trim()
        caches.trim(attempts.folders.cache / "objects", settings.cache_mib << 20)
    agent.stop()
    stop_attempts(attempts)
    backend.close()
    kernel_parents.close()


def stop_attempts(attempts: Attempts) -> None:
    """Kill what runs and give its verdicts the time to be reported."""
    for handle in list(attempts.active.values()):
        handle.kill()
    deadline = time.monotonic() + STOP_SECONDS
    while attempts.active and time.monotonic() < deadline:
        time.sleep(0.05)


def report_abandoned(control_plane: ControlPlane, record: Record) -> None:
    """Say that an attempt ended with the executor that was killed."""
    result = failed(FailureReason.INFRASTRUCTURE, "The executor was killed while it executed the run.")
    end_patiently(control_plane, record.execution_id, record.epoch, result, patience=SWEEP_PATIENCE_SECONDS)


if __name__ == "__main__":
    raise SystemExit(main())
