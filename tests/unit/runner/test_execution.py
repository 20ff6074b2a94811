# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A notebook executed for real: what its kernel says and does is what the outcome, the events and the file say."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import animus
from animus_contracts.environments import Resources
from animus_contracts.executions import Verdict
from animus_contracts.run_events import CellEnded, CellStarted, NotebookStarted, StreamWritten
from animus_contracts.runs import Failure, FailureReason
from animus_runner import cells, outputs
from animus_runner.execution import execute
from animus_runner.kernels import own_parent
from animus_runner.notebook_assignment import Cancellation
from tests.unit.runner.trials import NOT_BOUND, Trial, assignment_for, notebook_of, parameters_cell, try_cells

R = FailureReason


@pytest.fixture(scope="module")
def parent() -> Iterator[str]:
    with own_parent(sys.executable) as address:
        yield address


def failure_of(trial: Trial) -> Failure:
    assert trial.outcome.verdict is Verdict.FAILED
    assert trial.outcome.failure is not None
    return trial.outcome.failure


def test_a_notebook_with_parameters_succeeds_and_tells_every_cell(tmp_path: Path, parent: str) -> None:
    sources = [parameters_cell("depth: int = 4  # how deep"), "print(depth)\nprint('more')", "", "depth * 2"]
    trial = try_cells(tmp_path, parent, sources, parameters={"depth": 21})
    assert trial.outcome.verdict is Verdict.SUCCEEDED
    assert trial.notebook is not None
    assert [cell.get("outputs") for cell in trial.notebook.cells[2:]] == [
        [{"output_type": "stream", "name": "stdout", "text": "21\nmore\n"}],
        [],
        [{"output_type": "execute_result", "execution_count": 4, "data": {"text/plain": "42"}, "metadata": {}}],
    ]
    events = [event for _, event in trial.events]
    assert isinstance(events[0], NotebookStarted)
    assert events[0].cells_total == 4
    started = [event.cell_index for event in events if isinstance(event, CellStarted)]
    ended = [(event.cell_index, event.status) for event in events if isinstance(event, CellEnded)]
    assert started == [0, 1, 2, 3]
    assert ended == [(index, "ok") for index in range(4)]
    written = [event for event in events if isinstance(event, StreamWritten)]
    assert "".join(event.text for event in written) == "21\nmore\n"
    assert {event.cell_id for event in written} == {trial.notebook.cells[2].id}


def test_the_outcome_carries_what_the_kernel_ran_with(tmp_path: Path, parent: str) -> None:
    outcome = try_cells(tmp_path, parent, ["x = bytearray(50 << 20)"], seed=7, resources=Resources(cpus=1.5)).outcome
    assert outcome.facts is not None
    assert outcome.facts.python == ".".join(map(str, sys.version_info[:3]))
    assert "ipykernel" in outcome.facts.packages
    assert outcome.facts.hash_seed == "0"
    assert outcome.environment["PYTHONHASHSEED"] == "0"
    assert outcome.environment["OMP_NUM_THREADS"] == "2"
    assert outcome.environment["ANIMUS_SEED"] == "7"
    assert outcome.peak_memory_mib is not None
    assert 50 < outcome.peak_memory_mib < 500


def test_an_error_fails_the_run_at_its_cell_and_keeps_what_was_there(tmp_path: Path, parent: str) -> None:
    sources = [
        parameters_cell("n = 1"),
        "print('before')",
        "def f():\n    raise ValueError('no <n>')\nf()",
        "print('never')",
    ]
    trial = try_cells(tmp_path, parent, sources, parameters={"n": 0})
    failure = failure_of(trial)
    assert (failure.reason, failure.cell_index, failure.exception) == (R.USER_CODE, 2, "ValueError: no <n>")
    assert failure.summary == "Cell 2 raised ValueError."
    assert "\x1b" not in failure.detail
    assert "in f()" in failure.detail
    assert trial.notebook is not None
    marker, *rest = trial.notebook.cells
    assert "An Exception was encountered" in marker.source
    failing = next(cell for cell in rest if cell.id == failure.cell_id)
    assert failing.outputs[0].output_type == "error"
    assert failing.metadata.papermill.status == "failed"
    assert rest[-1].outputs == []
    assert trial.notebook.metadata.papermill.exception is True


@pytest.mark.parametrize(
    ("source", "reason", "summary"),
    [
        ("import os; os._exit(3)", R.USER_CODE, "status 3"),
        ("import os; os._exit(0)", R.USER_CODE, "status 0"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", R.KILLED, "SIGKILL"),
        ("import ctypes; ctypes.string_at(0)", R.KILLED, "SIGSEGV"),
        ("import os, signal; os.killpg(0, signal.SIGTERM); import time; time.sleep(9)", R.KILLED, "SIGTERM"),
        ("x = bytearray(10 ** 10)", R.OUT_OF_MEMORY, "2048 MiB"),
        ("raise MemoryError", R.OUT_OF_MEMORY, "2048 MiB"),
        ("input('name?')", R.USER_CODE, "StdinNotImplementedError"),
        ("import sys; sys.exit(2)", R.USER_CODE, "SystemExit"),
        ("1 +", R.USER_CODE, "SyntaxError"),
        ("await __import__('asyncio').sleep(0); 1/0", R.USER_CODE, "ZeroDivisionError"),
    ],
)
def test_however_a_cell_ends_the_run_the_reason_is_told_at_once(
    tmp_path: Path, parent: str, source: str, reason: FailureReason, summary: str
) -> None:
    trial = try_cells(tmp_path, parent, ["print('kept')", source, "print('never')"])
    failure = failure_of(trial)
    assert (failure.reason, failure.cell_index) == (reason, 1)
    assert summary in failure.summary
    assert failure.remedy
    assert trial.seconds < 15
    assert trial.notebook is not None
    assert "kept" in str(trial.notebook.cells)
    assert "never\\n" not in str([cell.get("outputs") for cell in trial.notebook.cells])


def test_a_crash_leaves_its_native_traceback_in_the_detail(tmp_path: Path, parent: str) -> None:
    source = "import ctypes\ndef crash():\n    ctypes.string_at(0)\ncrash()"
    detail = failure_of(try_cells(tmp_path, parent, [source])).detail
    assert "Segmentation fault" in detail
    assert "in crash" in detail


@pytest.mark.parametrize("source", ["import sys; sys.exit()", "import sys; sys.exit(0)"])
def test_a_clean_exit_ends_the_notebook_early_and_succeeds(tmp_path: Path, parent: str, source: str) -> None:
    trial = try_cells(tmp_path, parent, [source, "print('never')"])
    assert trial.outcome.verdict is Verdict.SUCCEEDED
    assert [event.status for _, event in trial.events if isinstance(event, CellEnded)] == ["error"]


def test_an_expected_error_does_not_stop_the_notebook(tmp_path: Path, parent: str) -> None:
    expected = notebook_of("1/0").cells[0]
    expected.metadata["tags"] = ["raises-exception"]
    trial = try_cells(tmp_path, parent, [expected, "print('after')"])
    assert trial.text() == "after\n"


@pytest.mark.parametrize(
    "source",
    [
        "import time\nprint('kept', flush=True)\ntime.sleep(60)",
        "import time\nprint('kept', flush=True)\nwhile True:\n try: time.sleep(60)\n except KeyboardInterrupt: pass",
    ],
    ids=["interruptible", "stubborn"],
)
@pytest.mark.parametrize("how", ["timeout", "cell", "canceled"])
def test_a_run_that_is_stopped_ends_soon_and_keeps_its_output(
    tmp_path: Path, parent: str, source: str, how: str
) -> None:
    seconds = Resources(wall_seconds=2 if how == "timeout" else 60)
    trial = try_cells(
        tmp_path,
        parent,
        [source],
        cancel_after=2.0 if how == "canceled" else None,
        resources=seconds,
        cell_seconds=1.5 if how == "cell" else None,
    )
    assert trial.seconds < 2 + cells.GRACE_SECONDS + 5
    assert trial.notebook is not None
    assert "kept" in str(trial.notebook.cells)
    assert [event.status for _, event in trial.events if isinstance(event, CellEnded)] == ["interrupted"]
    if how != "canceled":
        assert (failure_of(trial).reason, failure_of(trial).cell_index) == (R.TIMEOUT, 0)
        assert ("the 1.5 s that one cell may take" in failure_of(trial).summary) == (how == "cell")
    else:
        assert trial.outcome.verdict is Verdict.CANCELED
        assert trial.outcome.failure is None


def test_what_was_spent_on_fetching_counts_as_wall_time(tmp_path: Path, parent: str) -> None:
    wall = Resources(wall_seconds=60)
    trial = try_cells(tmp_path, parent, ["import time; time.sleep(60)"], resources=wall, spent_seconds=58.5)
    assert failure_of(trial).reason is R.TIMEOUT
    assert trial.seconds < 1.5 + cells.GRACE_SECONDS + 5


def test_the_time_of_a_cell_begins_with_the_cell(tmp_path: Path, parent: str) -> None:
    trial = try_cells(tmp_path, parent, ["import time; time.sleep(0.6)"] * 3, cell_seconds=1.2)
    assert trial.outcome.verdict is Verdict.SUCCEEDED


def test_output_is_seen_within_a_second_of_being_written(tmp_path: Path, parent: str) -> None:
    source = "import time\nfor i in range(3):\n    print(time.monotonic())\n    time.sleep(0.5)"
    began = time.monotonic()
    trial = try_cells(tmp_path, parent, [source])
    written = [(seen, event) for seen, event in trial.events if isinstance(event, StreamWritten)]
    assert len(written) >= 3
    for seen, event in written:
        for line in event.text.split():
            assert began + seen - float(line) < 1


def test_the_notebook_is_saved_while_a_long_cell_runs(
    tmp_path: Path, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("animus_runner.engine.SAVE_SECONDS", 0.2)
    executed = tmp_path / "executed.ipynb"
    seen: list[bool] = []
    source = "import time\nprint('early', flush=True)\nfor _ in range(6): time.sleep(0.2); print('.', flush=True)"
    with Cancellation() as canceled:
        execute(
            assignment_for(tmp_path, notebook_of(source), parent),
            lambda _: seen.append("early\\n" in executed.read_text() if executed.exists() else False),
            canceled,
        )
    assert any(seen[:-1])


def test_a_flood_of_output_is_cut_and_said_to_be(tmp_path: Path, parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "MAX_OUTPUT_BYTES", 1 << 20)
    trial = try_cells(tmp_path, parent, ["for _ in range(30): print('x' * 1_000_000, flush=True)", "1/0"])
    assert failure_of(trial).exception == "ZeroDivisionError: division by zero"
    assert (tmp_path / "executed.ipynb").stat().st_size < 4 << 20
    assert "output is cut here" in (tmp_path / "executed.ipynb").read_text()


def test_messages_that_user_code_makes_up_break_nothing(tmp_path: Path, parent: str) -> None:
    source = """
kernel = get_ipython().kernel
def publish(kind, content, **more):
    parent = more.pop("parent", kernel.get_parent("shell"))
    kernel.session.send(kernel.iopub_socket, kind, content, parent=parent)
publish("stream", {"name": 5, "text": 7})
publish("stream", {"name": "stdout"})
publish("stream", {"name": "etc/passwd", "text": "x"})
publish("display_data", {"data": 3, "metadata": [], "transient": {"display_id": [1]}})
publish("display_data", {"data": {"text/plain": "fine"}, "metadata": {}, "transient": None})
publish("execute_result", {})
publish("error", {"ename": "Fake", "evalue": "", "traceback": 4})
publish("status", {"execution_state": 3})
publish("status", {})
publish("comm_open", {"comm_id": "a", "target_name": "jupyter.widget", "data": {"state": 3}})
publish("comm_msg", {"data": None})
publish("no_such_type", {})
publish("stream", {"name": "stdout", "text": "x"}, parent={"msg_id": "unknown"})
kernel.iopub_socket.send_multipart([b"garbage"])
kernel.iopub_socket.send_multipart([b"<IDS|MSG>", b"bad signature", b"{}", b"{}", b"{}", b"{}"])
kernel.iopub_socket.send_multipart([b"<IDS|MSG>"])
print("survived")
"""
    assert try_cells(tmp_path, parent, [source, "print('next')"]).text() == "next\n"
    assert "survived" in (tmp_path / "executed.ipynb").read_text()


def test_ten_megabytes_of_output_arrive_whole(tmp_path: Path, parent: str) -> None:
    assert len(try_cells(tmp_path, parent, ["print('x' * 10_000_000)"]).text()) == 10_000_001


def test_runs_share_nothing_and_a_seed_repeats(tmp_path: Path, parent: str) -> None:
    leave = (
        "import sys, os, builtins\n"
        "sys.left = builtins.left = 1\nos.environ['LEFT'] = '1'\nopen('/tmp/left', 'w').close()"
    )
    look = (
        "import sys, os, random, uuid, tempfile, builtins\n"
        "print([hasattr(sys, 'left'), hasattr(builtins, 'left'), 'LEFT' in os.environ, os.path.exists('/tmp/left')])\n"
        "print(random.random(), hash('a'), uuid.uuid4(), next(tempfile._get_candidate_names()))"
    )
    lines: list[list[str]] = []
    for name, source, seed in [("a", leave, 1), ("b", look, 1), ("c", look, 1), ("d", look, None), ("e", look, None)]:
        (tmp_path / name).mkdir()
        trial = try_cells(tmp_path / name, parent, [source], seed=seed)
        if source == look:
            shared, values = trial.text().splitlines()
            assert shared == "[False, False, False, False]"
            lines.append(values.split())
    seeded, again, free, other = lines
    assert seeded[:2] == again[:2]
    assert free[0] != other[0] != seeded[0]
    assert free[1] == other[1] == seeded[1]
    assert len({line[2] for line in lines}) == len({line[3] for line in lines}) == 4


def test_exit_handlers_of_user_code_run(tmp_path: Path, parent: str) -> None:
    source = (
        "import atexit, os\natexit.register(lambda: open(os.environ['ANIMUS_OUTPUTS_DIR'] + '/bye', 'w').write('x'))"
    )
    assert try_cells(tmp_path, parent, [source]).outcome.verdict is Verdict.SUCCEEDED
    assert (tmp_path / "outputs/bye").read_text() == "x"


def test_the_kernel_gets_its_folders_and_nothing_of_the_executors_environment(
    tmp_path: Path, parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EXECUTOR_SECRET", "s3cr3t")
    (tmp_path / "x").mkdir()
    source = "import os, sys; print(dict(os.environ)); print(os.getcwd()); print(sys.path)"
    variables, folder, path = try_cells(tmp_path / "x", parent, [source]).text().splitlines()
    assert "EXECUTOR_SECRET" not in variables
    seen = eval(variables)  # noqa: S307 - printed by ourselves
    base = tmp_path / "x"
    assert seen["ANIMUS_RUN_ID"] == "run-1"
    assert seen["ANIMUS_INPUTS_DIR"] == f"{base}/inputs"
    assert seen["ANIMUS_OUTPUTS_DIR"] == f"{base}/outputs"
    assert seen["HOME"] == seen["TMPDIR"] == f"{base}/scratch"
    assert folder == f"{base}/code"
    assert eval(path)[0] == f"{base}/support"  # noqa: S307
    assert "" in eval(path)  # noqa: S307
    assert "animus_runner" not in path


def test_a_notebook_that_submits_itself_runs_and_submits_nothing(tmp_path: Path, parent: str) -> None:
    line = "%animus run trial.ipynb"
    support = Path(animus.__file__).parents[1]
    trial = try_cells(tmp_path, parent, [line, "print('after')"], support=support)
    assert trial.text() == "after\n"
    assert trial.notebook is not None
    assert trial.notebook.cells[0].outputs[0].text == f"animus: inside a run, `{line}` does nothing\n"


def test_a_notebook_that_declares_something_else_is_never_started(tmp_path: Path, parent: str) -> None:
    trial = try_cells(tmp_path, parent, ["open('/tmp/ran')"], parameters_schema_digest=NOT_BOUND)
    assert failure_of(trial).reason is R.INPUT
    assert (trial.events, trial.notebook, trial.outcome.facts) == ([], None, None)


def test_a_kernel_parent_that_went_with_its_executor_is_replaced_for_the_run(tmp_path: Path) -> None:
    assert try_cells(tmp_path, str(tmp_path / "nobody"), ["print(1)"]).text() == "1\n"


def test_an_interpreter_that_cannot_run_kernels_is_said_to_be_the_cause(tmp_path: Path) -> None:
    trial = try_cells(tmp_path, str(tmp_path / "nobody"), ["1"], python=Path("/bin/false"))
    assert failure_of(trial).reason is R.INFRASTRUCTURE
    assert "cannot run ipykernel" in failure_of(trial).detail
