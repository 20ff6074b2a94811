# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A notebook looks the same after our engine as after papermill's, except for ids, times and the cutting of streams."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import groupby
from pathlib import Path
from typing import Any

import nbformat
import papermill
import pytest
from nbformat import NotebookNode
from papermill.execute import ERROR_MARKER_TAG

from animus_runner.kernels import own_parent
from tests.unit.runner.trials import assignment_for, notebook_of, run_assignment

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")

CELLS = [
    # streams
    "import sys\nprint('a'); print('b', end=''); print('c', file=sys.stderr); print('d')",
    "for i in range(5): print(i, end='\\r')",
    "sys.stdout.write('no newline')",
    # results
    *("1 + 1", "'text'", "None", "_", "[1, {'a': (2, 3)}]", "x = 5; x;", "Out[4]", "In[1]"),
    # rich display
    "from IPython.display import HTML, Markdown, Latex, JSON, SVG, Javascript, display, update_display, clear_output",
    "display(HTML('<b>x</b>'), Markdown('*y*')); Latex('$z$')",
    "display({'text/plain': 'p', 'application/json': {'a': 1}}, raw=True, metadata={'m': 1})",
    "class R:\n    def _repr_html_(self): return '<i>r</i>'\n    def _repr_png_(self): return b'\\x89PNG'\nR()",
    "SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>')",
    # updates
    "h = display('one', display_id='d')",
    "print('before'); h.update('two'); print('after')",
    "print('gone'); clear_output(); print('stays')",
    "print('gone later'); clear_output(wait=True); print('stays')",
    "update_display('three', display_id='d')",
    "import warnings; warnings.warn('careful')",
    # asynchronous cells
    "import asyncio\nasync def f():\n    await asyncio.sleep(0.01)\n    return 3\nawait f()",
    "await asyncio.gather(f(), f())",
    # output below Python; it passes a pipe that is emptied in its own time, so the cells wait for it
    "import os, subprocess, time; os.write(1, b'descriptor\\n'); time.sleep(0.2)",
    "code = subprocess.run(['echo', 'child']).returncode; time.sleep(0.2); code",
    "!echo shell; echo error >&2",
    "%%bash\necho magic",
    "out = !echo captured\nout",
    "import ctypes; c = ctypes.CDLL(None); c.puts(b'from C'); c.fflush(None); time.sleep(0.2)",
    # magics
    *("%pwd\n1", "%%capture x\nprint('hidden')", "x.stdout", "os?"),
    # threads and processes
    "import threading\nt = threading.Thread(target=lambda: print('thread')); t.start(); t.join()",
    "from concurrent.futures import ThreadPoolExecutor\nlist(ThreadPoolExecutor(2).map(str, range(3)))",
    "import multiprocessing as m\nwith m.get_context('fork').Pool(2) as p: print(p.map(abs, [-1, -2]))",
    # large output
    *("print('x' * 1_000_000)", "list(range(2000))", "'y' * 100_000"),
    # widgets
    "import ipywidgets as w\ns = w.IntSlider(3); s",
    *("o = w.Output(); o", "with o: print('inside')", "s.value"),
    # what a process is
    *("__name__", "'__file__' in globals()", "'__main__' in sys.modules", "sys.argv[1:2]", "sys.getrecursionlimit()"),
    "def recur(): recur()\ntry: recur()\nexcept RecursionError: print('deep')",
    "import inspect\ndef f(): pass\ninspect.getsource(f)",
    "get_ipython().__class__.__name__",
    "import pickle\nclass C: pass\nc = pickle.loads(pickle.dumps(C())); type(c).__module__",
    "import signal; [signal.getsignal(n) == signal.SIG_DFL for n in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)]",
    # cells that do nothing
    *("", "   ", "# only a comment", nbformat.v4.new_markdown_cell("text"), nbformat.v4.new_raw_cell("raw"), "1"),
]
RAISING = [
    "def f(n):\n    return 1 / n",
    "[f(n) for n in (1, 0)]",
    "try:\n    {}['k']\nexcept KeyError as e:\n    raise RuntimeError('second') from e",
    "if True:\nprint(1)",
    "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])",
    "async for x in 3: pass",
    "print('before'); undefined",
    "import sys; sys.exit(3)",
    "input('?')",
    "!exit 3",
    "%nosuchmagic",
]
NOTEBOOKS = {
    "everything": notebook_of(*CELLS),
    "expected errors": notebook_of(
        *(nbformat.v4.new_code_cell(source, metadata={"tags": ["raises-exception"]}) for source in RAISING)
    ),
    "stopped by an error": notebook_of("print(1)", "1 / 0", "print(2)", nbformat.v4.new_markdown_cell("end")),
    "ended early": notebook_of("import sys; sys.exit(0)", "print(2)"),
}


@pytest.fixture(scope="module")
def parent() -> Iterator[str]:
    with own_parent(sys.executable) as address:
        yield address


def fails_with_papermill(notebook: Path, output: Path, folder: Path) -> bool:
    """Execute a notebook with papermill; now and then it waits for ever for a kernel that has ended its cell."""
    command = [sys.executable, "-m", "papermill", str(notebook), str(output), "--no-progress-bar", "--cwd", str(folder)]
    for _ in range(3):
        with suppress(subprocess.TimeoutExpired):
            return subprocess.run(command, capture_output=True, timeout=35, check=False).returncode != 0
    pytest.fail("papermill did not come to an end three times")


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_outputs_equal_papermills(tmp_path: Path, parent: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTEST_CURRENT_TEST")  # it keeps ipykernel from catching output below Python
    notebook = NOTEBOOKS[name]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    assignment = assignment_for(tmp_path, notebook, parent)
    trial = run_assignment(assignment, tmp_path)
    assert trial.notebook is not None
    plain = tmp_path / "plain.ipynb"
    has_failed = fails_with_papermill(assignment.notebook, plain, assignment.checkout)
    # Here we differ on purpose: an error that its cell expects (raises-exception) does not fail the run.
    assert (trial.outcome.failure is not None) is (has_failed and name != "expected errors")
    ours, papermills = comparable(trial.notebook), comparable(nbformat.read(plain, 4))
    for our_cell, its_cell in zip(ours.pop("cells"), papermills.pop("cells"), strict=True):
        assert our_cell == its_cell
    assert ours == papermills


def test_papermill_can_use_the_engine_by_its_name(tmp_path: Path) -> None:
    notebook = NOTEBOOKS["stopped by an error"]
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    nbformat.write(notebook, tmp_path / "in.ipynb")
    for engine in ("animus", "nbclient"):
        with pytest.raises(papermill.PapermillExecutionError, match="ZeroDivisionError"):
            papermill.execute_notebook(
                tmp_path / "in.ipynb", tmp_path / f"{engine}.ipynb", engine_name=engine, progress_bar=False
            )
    ours, papermills = (comparable(nbformat.read(tmp_path / f"{name}.ipynb", 4)) for name in ("animus", "nbclient"))
    assert ours == papermills


def comparable(notebook: NotebookNode) -> dict[str, Any]:
    cells = [
        {
            "type": cell.cell_type,
            "source": cell.source,
            "count": cell.get("execution_count"),
            "outputs": _joined(cell.get("outputs", [])),
            "papermill": {key: cell.metadata.get("papermill", {}).get(key) for key in ("exception", "status")},
            "keys": sorted(cell.metadata),
            "execution": sorted(cell.metadata.get("execution", {}).keys() - {"shell.execute_reply"}),
        }
        for cell in notebook.cells
        if ERROR_MARKER_TAG not in cell.metadata.tags
    ]
    papermill_keys = sorted(notebook.metadata.papermill)
    widgets = sorted(
        (state["model_name"], state["state"].get("value"))
        for state in notebook.metadata.get("widgets", {}).get(WIDGETS, {}).get("state", {}).values()
    )
    return {
        "cells": cells,
        "papermill": papermill_keys,
        "exception": notebook.metadata.papermill.exception,
        "language": notebook.metadata.get("language_info"),
        "kernelspec": notebook.metadata.get("kernelspec"),
        "widgets": widgets,
    }


WIDGETS = "application/vnd.jupyter.widget-state+json"
VARYING = (
    (re.compile(r"/t[m]p/(?:\S*/scratch/)?ipykernel_\d+/"), "ipykernel/"),
    (re.compile(r"0x[0-9a-f]{6,}"), "0x"),
    (re.compile(r"[0-9a-f]{32}"), "id"),
)


def _joined(outputs: list[NotebookNode]) -> list[Any]:
    """Join the texts of each stream between other outputs: how they are cut and interleaved depends on time."""
    joined: list[Any] = []
    for is_stream, group in groupby(outputs, key=lambda output: output.output_type == "stream"):
        if is_stream:
            texts: dict[str, str] = {}
            for output in group:
                texts[output.name] = texts.get(output.name, "") + output.text
            joined.append({name: _plain(text) for name, text in sorted(texts.items())})
        else:
            joined += [_plain(output) for output in group]
    return joined


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        for pattern, replacement in VARYING:
            value = pattern.sub(replacement, value)
    return value
