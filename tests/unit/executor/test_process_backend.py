# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The backend's own processes are there again when they were lost, and it says so when they cannot be."""

from __future__ import annotations

import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import msgspec
import psutil
import pytest

from animus_contracts.assignments import Assignment, AttemptResult
from animus_contracts.executions import Verdict
from animus_executor.backends import BackendError
from animus_executor.backends.process import ProcessBackend
from animus_executor.kernel_parents import KernelParentError, KernelParents
from animus_executor.runs import kill_processes_of
from tests.fakes.plans import a_lease, a_plan, an_assignment
from tests.patience import until

LISTENING = "00010000"
"""The flags of a listening socket (``__SO_ACCEPTCON``)."""


def an_impossible_assignment(folder: Path) -> Assignment:
    run_folder = folder / "run"
    run_folder.mkdir()
    return an_assignment(a_lease(a_plan()), run_folder)


class Started(NamedTuple):
    """A backend whose parent runs."""

    folder: Path
    backend: ProcessBackend
    parent: psutil.Process


@contextmanager
def a_started_backend() -> Iterator[Started]:
    with tempfile.TemporaryDirectory() as name:  # a short path, because sockets have short names
        backend = ProcessBackend(Path(name))
        try:
            assert backend.limitations is not None
            [parent] = [child for child in psutil.Process().children() if name in " ".join(child.cmdline())]
            yield Started(Path(name), backend, parent)
        finally:
            backend.close()


def test_a_parent_that_died_is_replaced() -> None:
    with a_started_backend() as (folder, backend, parent):
        parent.kill()
        until(lambda: parent.status() == psutil.STATUS_ZOMBIE)
        result = backend.launch(an_impossible_assignment(folder)).wait()
    assert isinstance(result, AttemptResult)
    assert result.verdict is Verdict.FAILED


def test_a_parent_that_dies_with_an_assignment_in_its_queue_is_replaced() -> None:
    with a_started_backend() as (folder, backend, parent), ThreadPoolExecutor(1) as another:
        parent.suspend()
        launch = another.submit(backend.launch, an_impossible_assignment(folder))
        until(lambda: somebody_waits_at(folder / "runner.sock"))
        parent.kill()
        result = launch.result().wait()
    assert isinstance(result, AttemptResult)
    assert result.verdict is Verdict.FAILED


def somebody_waits_at(address: Path) -> bool:
    """Whether a socket of this path is there that is not the listening one (source: ``/proc/net/unix``, proc(5))."""
    rows = [line.split() for line in Path("/proc/net/unix").read_text("utf-8").splitlines()]
    return any(row[-1] == str(address) and row[3] != LISTENING for row in rows)


def test_an_interpreter_without_ipykernel_is_said_to_start_no_kernels(tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "python").symlink_to("/bin/false")
    with pytest.raises(KernelParentError, match="ended with status"), KernelParents(tmp_path, 1).serving(tmp_path):
        pass


def test_processes_are_found_by_their_run_and_killed() -> None:
    run_id = a_plan().run_id
    found = psutil.Popen(["sleep", "300"], env={"ANIMUS_RUN_ID": run_id})
    other = psutil.Popen(["sleep", "300"], env={"ANIMUS_RUN_ID": run_id + "0"})
    try:
        kill_processes_of(run_id)
        assert found.wait(5) == -signal.SIGKILL
        assert other.is_running()
    finally:
        other.kill()
        other.wait()


def test_a_parent_that_cannot_start_is_a_backend_error(tmp_path: Path) -> None:
    backend = ProcessBackend(tmp_path / ("long" * 40))
    with pytest.raises(BackendError, match="did not start"):
        _ = backend.limitations
    backend.close()


def test_more_launches_at_once_than_may_wait_for_the_parent_are_all_answered() -> None:
    with a_started_backend() as (folder, backend, parent):
        (folder / "run").mkdir()
        said: list[object] = []

        def launch(number: int) -> None:
            run_folder = folder / str(number)
            run_folder.mkdir()
            assignment = msgspec.structs.replace(impossible, run_folder=str(run_folder))
            try:
                said.append(backend.launch(assignment).wait())
            except BackendError as error:
                said.append(error)

        impossible = an_impossible_assignment(folder / "run")
        parent.suspend()
        launches = [threading.Thread(target=launch, args=(number,)) for number in range(120)]
        for each in launches:
            each.start()
        time.sleep(1.0)
        parent.resume()
        for each in launches:
            each.join()
    assert [type(each) for each in said] == [AttemptResult] * 120
