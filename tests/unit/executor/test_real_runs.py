# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Supervisors are real processes here: what they say arrives, and nothing of them outlives who watches them."""

from __future__ import annotations

import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import nbformat
import psutil
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from animus_contracts.assignments import SUPERVISOR_SOCKET, Assignment, AttemptResult
from animus_contracts.executions import Verdict
from animus_contracts.run_events import StreamWritten
from animus_contracts.runs import CodeRef, FailureReason
from animus_executor.backends.process import ProcessBackend
from animus_executor.backends.process.attempt import CREDENTIALS, ProcessAttempt
from animus_executor.kernel_parents import KernelParents
from animus_executor.support import provide_support
from animus_runner.spool import EVENTS_FILE
from tests.fakes.control_plane import Attempt, ControlPlaneSimulator
from tests.fakes.git_repository import GitRepository
from tests.fakes.plans import a_plan, an_assignment
from tests.patience import until

TOKEN = "ar_run-token-of-these-tests-0123456789"
ENVIRONMENT = Path(sys.prefix)


@contextmanager
def short_folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="an-") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def machine() -> Iterator[tuple[ProcessBackend, KernelParents, Path]]:
    """A runner parent and kernel parents, started once because that takes seconds."""
    with short_folder() as folder:
        backend, parents = ProcessBackend(folder), KernelParents(folder, 1)
        yield backend, parents, provide_support(folder / "support")
        backend.close()
        parents.close()


@dataclass
class World:
    simulator: ControlPlaneSimulator
    backend: ProcessBackend
    kernels: KernelParents
    support: Path
    folder: Path
    repository: GitRepository

    def assignment(self, *sources: str, **changes: object) -> tuple[Attempt, Assignment]:
        notebook = new_notebook(cells=[new_code_cell(source) for source in sources])
        commit = self.repository.commit({"train.ipynb": nbformat.writes(notebook)})
        code = CodeRef(repository=self.repository.url, commit=commit, path="train.ipynb")
        plan = a_plan(**{"code": code, **changes})
        attempt = self.simulator.grant(plan)
        attempt.run_token = TOKEN
        run_folder = self.folder / attempt.lease.execution_id[-12:]
        run_folder.mkdir()
        with self.kernels.serving(ENVIRONMENT) as kernel_parent:
            assignment = an_assignment(
                attempt.lease,
                run_folder,
                control_plane=self.simulator.url,
                run_token=TOKEN,
                repositories=[f"file://{self.folder}/"],
                python=str(ENVIRONMENT / "bin" / "python"),
                kernel_parent=str(kernel_parent),
                environment_folder=str(ENVIRONMENT),
                support_folder=str(self.support),
                cache_folder=str(self.folder / "cache"),
            )
        return attempt, assignment


@pytest.fixture
def world(machine: tuple[ProcessBackend, KernelParents, Path]) -> Iterator[World]:
    backend, kernels, support = machine
    with ControlPlaneSimulator() as simulator, short_folder() as folder:
        yield World(simulator, backend, kernels, support, folder, GitRepository(folder / "source"))


def processes_of(run_id: str) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("ANIMUS_RUN_ID") == run_id and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:
            continue
    return found


def result_of(outcome: AttemptResult | None) -> AttemptResult:
    assert isinstance(outcome, AttemptResult)
    return outcome


def supervisor_of(assignment: Assignment) -> psutil.Process:
    """The process that listens in a run's folder, as the system tells it."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"{assignment.run_folder}/{SUPERVISOR_SOCKET}")
        return psutil.Process(CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])


SLEEPS = "import subprocess, time\nsubprocess.Popen(['sleep', '300'])\nprint('asleep')\ntime.sleep(300)"


def asleep(attempt: Attempt) -> bool:
    return any(isinstance(event, StreamWritten) for event in attempt.events)


def test_a_notebook_runs_in_a_real_kernel_and_what_it_uses_of_animus_works(world: World) -> None:
    attempt, assignment = world.assignment(
        "import animus\nanimus.log_metric('loss', 0.5)\nprint('live')",
        "(animus.outputs / 'm.txt').write_text('model')",
        outputs=["m.txt"],
    )
    result = result_of(world.backend.launch(assignment).wait())
    assert (result.verdict, result.failure) == (Verdict.SUCCEEDED, None)
    assert {entry.name for entry in result.artifacts} == {"train.ipynb", "run.log", "m.txt", "provenance.json"}
    assert [type(event).__name__ for event in attempt.events].count("MetricLogged") == 1


def test_user_code_sees_no_credential_and_no_file_of_the_executor(world: World) -> None:
    (world.folder / "token").write_text("ae_canary")
    _, assignment = world.assignment(
        f"import os, pathlib\nprint({TOKEN!r} in str(dict(os.environ)))",
        f"print(pathlib.Path({str(world.folder / 'token')!r}).exists())",
        "print([n for n in os.environ if n.startswith('ANIMUS')])",
    )
    result = result_of(world.backend.launch(assignment).wait())
    assert result.verdict is Verdict.SUCCEEDED
    log = next(entry for entry in result.artifacts if entry.name == "run.log")
    said = [line for line in world.simulator.content(log.digest).decode().splitlines() if not line.startswith("---")]
    assert said[0] == "False"
    if not world.backend.limitations:
        assert said[1] == "False"
    assert said[2] == str(["ANIMUS_RUN_SOCKET", "ANIMUS_RUN_ID", "ANIMUS_INPUTS_DIR", "ANIMUS_OUTPUTS_DIR"])


def test_an_error_in_a_cell_names_the_cell(world: World) -> None:
    _, assignment = world.assignment("1", "raise ValueError('no')", "2")
    result = result_of(world.backend.launch(assignment).wait())
    assert result.verdict is Verdict.FAILED
    assert result.failure is not None
    assert (result.failure.reason, result.failure.cell_index) == (FailureReason.USER_CODE, 1)
    assert result.failure.exception == "ValueError: no"


def test_a_canceled_run_stops_and_publishes_what_it_had(world: World) -> None:
    attempt, assignment = world.assignment(SLEEPS)
    running = world.backend.launch(assignment)
    until(lambda: asleep(attempt))
    running.cancel()
    result = result_of(running.wait())
    assert result.verdict is Verdict.CANCELED
    assert "train.ipynb" in {entry.name for entry in result.artifacts}
    until(lambda: not processes_of(assignment.plan.run_id))


def test_a_killed_run_leaves_no_process(world: World) -> None:
    attempt, assignment = world.assignment(SLEEPS)
    running = world.backend.launch(assignment)
    until(lambda: asleep(attempt))
    assert processes_of(assignment.plan.run_id)
    running.kill()
    assert running.wait() is None
    until(lambda: not processes_of(assignment.plan.run_id))


def test_a_supervisor_that_is_killed_is_noticed_and_its_kernel_goes_too(world: World) -> None:
    attempt, assignment = world.assignment(SLEEPS)
    running = world.backend.launch(assignment)
    until(lambda: asleep(attempt))
    supervisor_of(assignment).kill()
    assert running.wait() is None
    until(lambda: not processes_of(assignment.plan.run_id))


def test_of_a_supervisor_that_is_killed_in_an_outage_nothing_is_lost_that_was_told_or_written(world: World) -> None:
    attempt, assignment = world.assignment(
        "import animus\nprint('before')",
        "(animus.outputs / 'm.txt').write_text('model')\nanimus.log_metric('loss', 0.5)\nprint('told')",
        "import time\ntime.sleep(300)",
    )
    running = world.backend.launch(assignment)
    until(lambda: asleep(attempt))
    world.simulator.away.set()
    until(lambda: b"told" in Path(assignment.run_folder, EVENTS_FILE).read_bytes())
    supervisor_of(assignment).kill()
    assert running.wait() is None
    until(lambda: not processes_of(assignment.plan.run_id))
    world.simulator.away.clear()

    result = result_of(world.backend.launch(msgspec.structs.replace(assignment, is_remainder=True)).wait())

    assert result.failure is not None
    assert (result.verdict, result.failure.reason) == (Verdict.FAILED, FailureReason.KILLED)
    told = [event.text for event in attempt.events if isinstance(event, StreamWritten)]
    assert told == ["before\n", "told\n"]
    content = {entry.name: world.simulator.content(entry.digest) for entry in result.artifacts}
    assert content["m.txt"] == b"model"
    assert b"before\n" in content["run.log"]
    assert b"told\n" in content["run.log"]


def test_a_kernel_that_is_killed_fails_the_run_at_once(world: World) -> None:
    attempt, assignment = world.assignment("import os\nos.kill(os.getpid(), 9)")
    result = result_of(world.backend.launch(assignment).wait())
    assert result.failure is not None
    assert result.failure.reason is FailureReason.KILLED
    assert attempt.events


def test_attempts_outlive_the_thread_that_first_needed_the_parent(world: World) -> None:
    _, assignment = world.assignment("print('still here')")
    attempts: list[ProcessAttempt] = []
    first = threading.Thread(target=lambda: attempts.append(world.backend.launch(assignment)))
    first.start()
    first.join()

    assert result_of(attempts[0].wait()).verdict is Verdict.SUCCEEDED


COUNTS = "import time\nprint('counting')\nfor _ in range(20): time.sleep(0.1)"


def test_a_run_outlives_everything_its_executor_had_and_is_adopted(world: World) -> None:
    with short_folder() as folder:
        world.backend, world.kernels = ProcessBackend(folder), KernelParents(folder, 1)
        attempt, assignment = world.assignment(COUNTS)
        launched = world.backend.launch(assignment)
        until(lambda: asleep(attempt))
        own = [child for child in psutil.Process().children() if str(folder) in " ".join(child.cmdline())]
        assert len(own) == 2
        for parent in own:
            parent.kill()
        assert launched._supervisor is not None
        launched._supervisor._connection.close()  # as the end of the executor's process does

        adopted = world.backend.adopt(Path(assignment.run_folder), assignment.execution_id, assignment.epoch)

        assert adopted.is_running
        assert result_of(adopted.wait()).verdict is Verdict.SUCCEEDED
        until(lambda: not processes_of(assignment.plan.run_id))
        world.kernels.close()
        world.backend.close()


def test_a_supervisor_without_an_executor_ends_itself_with_its_kernel_and_another_one_says_so(world: World) -> None:
    attempt, assignment = world.assignment(SLEEPS)
    launched = world.backend.launch(msgspec.structs.replace(assignment, offline_seconds=2.0))
    until(lambda: asleep(attempt))
    assert launched._supervisor is not None
    launched._supervisor._connection.shutdown(socket.SHUT_RDWR)
    assert launched.wait() is None
    until(lambda: not processes_of(assignment.plan.run_id))
    remainder = msgspec.structs.replace(assignment, is_remainder=True)
    result = result_of(world.backend.launch(remainder).wait())
    assert result.failure is not None
    assert result.failure.reason is FailureReason.INFRASTRUCTURE
    assert result.failure.summary == "No executor came back for the run within 2 s."
    assert "run.log" in {entry.name for entry in result.artifacts}


def test_an_adopted_run_is_canceled_as_any_other(world: World) -> None:
    attempt, assignment = world.assignment(SLEEPS)
    launched = world.backend.launch(assignment)
    until(lambda: asleep(attempt))
    adopted = world.backend.adopt(Path(assignment.run_folder), assignment.execution_id, assignment.epoch)
    adopted.cancel()
    result = result_of(adopted.wait())
    assert result.verdict is Verdict.CANCELED
    assert launched.wait() == result


def test_runs_side_by_side_do_not_mix(world: World) -> None:
    pairs = [world.assignment(f"print('I am {number}')") for number in range(3)]
    outcomes: dict[int, AttemptResult | None] = {}

    def run(number: int) -> None:
        outcomes[number] = world.backend.launch(pairs[number][1]).wait()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number, (attempt, _) in enumerate(pairs):
        assert result_of(outcomes[number]).verdict is Verdict.SUCCEEDED
        texts = [event.text for event in attempt.events if isinstance(event, StreamWritten)]
        assert texts == [f"I am {number}\n"]
