# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The end of a kernel takes apart what its run has made, wherever that is kept, and nothing that was there before."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from animus_contracts.executions import Verdict
from animus_runner.kernels import own_parent
from tests.unit.runner.trials import try_cells

BEFORE = """
import atexit, builtins, contextlib, logging, logging.handlers, os, pathlib, sys, weakref
def open_file(name):
    file = open(os.environ["ANIMUS_OUTPUTS_DIR"] + "/" + name, "w")
    file.write("x")
    return file
class Late:
    def __init__(self, name):
        self.path = os.environ["ANIMUS_OUTPUTS_DIR"] + "/" + name
    def __del__(self, open=open):
        with open(self.path, "w") as file:
            file.write("x")
"""
LEFT_OPEN = {
    "a-name": "kept = open_file('a-name')",
    "an-output": "open_file('an-output')",
    "a-generator": "def numbers():\n    file = open_file('a-generator')\n    yield 1\nrest = numbers(); next(rest)",
    "a-cycle": "late = Late('a-cycle'); late.me = late; del late",
    "a-kept-cycle": "cycle = Late('a-kept-cycle'); cycle.me = cycle",
    "a-finalizer": "late = Late('a-finalizer')",
    "a-module-of-the-system": "os.kept = open_file('a-module-of-the-system')",
    "the-builtins": "builtins.kept = open_file('the-builtins')",
    "the-interpreter": "sys.kept = open_file('the-interpreter')",
    "a-module-of-its-own": (
        "pathlib.Path('/tmp/mine_xyz.py').write_text('')\nsys.path.insert(0, '/tmp')\n"
        "import mine_xyz; mine_xyz.kept = open_file('a-module-of-its-own')"
    ),
    "a-weak-reference": (
        "path = pathlib.Path(os.environ['ANIMUS_OUTPUTS_DIR'] + '/a-weak-reference')\n"
        "finalizer = weakref.finalize(Late, path.write_text, 'x')"
    ),
    "a-log": (
        "target = logging.FileHandler(os.environ['ANIMUS_OUTPUTS_DIR'] + '/a-log')\ntarget.terminator = ''\n"
        "logging.getLogger('mine').addHandler(logging.handlers.MemoryHandler(9, target=target))\n"
        "logging.getLogger('mine').warning('x')"
    ),
}


def test_what_a_run_left_open_is_written_when_its_kernel_ends(tmp_path: Path) -> None:
    with own_parent(sys.executable) as parent:
        assert try_cells(tmp_path, parent, [BEFORE, *LEFT_OPEN.values()]).outcome.verdict is Verdict.SUCCEEDED
    left = {path.name: path.read_text() for path in (tmp_path / "outputs").iterdir()}
    assert left == dict.fromkeys(LEFT_OPEN, "x")


def test_only_modules_that_were_loaded_before_and_got_no_name_since_are_spared() -> None:
    source = """
import os, sys, types
from animus_runner import kernel_process
class Loud:
    def __init__(self, name):
        self.name = name
    def __del__(self, write=os.write):
        write(1, self.name.encode() + b" ")
def load(name):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].thing = Loud(name)
load("before"), load("replaced"), load("changed")
loaded = kernel_process.loaded_modules()
load("replaced"), load("since")
sys.modules["changed"].more = 1
own = Loud("own")
kernel_process.spare(loaded)
"""
    ended = subprocess.run([sys.executable, "-c", source], capture_output=True, check=True, timeout=60)
    assert (sorted(ended.stdout.split()), ended.stderr) == (
        [b"changed", b"own", b"replaced", b"replaced", b"since"],
        b"",
    )
