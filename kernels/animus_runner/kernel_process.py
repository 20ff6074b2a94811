# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Turn a forked process into an ordinary IPython kernel, as if it had been started by its kernelspec.

What the parent was is put away first: variables, arguments, working folder, signal handlers, our modules. The
differences that remain are the documented ones: the history stays in memory and, when a seed is given, ``random``
starts from it.

Standard library and ipykernel only: this file runs inside the environment of the run.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import faulthandler
import os
import random
import signal
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from animus_runner.warden import Request

OPTIONS = {"HistoryManager": {"hist_file": ":memory:"}, "IPKernelApp": {"parent_handle": 1}}
"""No history file; and a parent that needs no watching, so that nothing is printed for people at a terminal."""

SET_ON_IMPORT = {"PYDEVD_USE_FRAME_EVAL": "NO"}
"""What importing ipykernel puts into the environment; its import is older than the run's environment."""

BOUND = b'{"bound": true}\n'

TAKEN_APART = frozenset({"__main__", "builtins", "sys"})
"""The modules that the end of the interpreter always takes apart: what a run has of its own is in the first."""


def become(request: Request, bound: int) -> None:
    """Run the kernel until it is shut down.

    Args:
        request: What to run.
        bound: Descriptor on which to say that the kernel listens; closed before anything of the user runs.
    """
    from ipykernel.kernelapp import IPKernelApp  # noqa: PLC0415 - only the kernel's environment has it
    from traitlets.config import Config  # noqa: PLC0415 - the same

    _put_away_the_parent(request)
    app = IPKernelApp.instance()
    options = Config(OPTIONS)
    options.IPKernelApp.connection_file = request.connection_file
    # Making a parser for every option that there is would take longer than the rest of what is done here.
    app.parse_command_line = lambda *_: app.update_config(options)  # type: ignore[method-assign] # of this one app
    app.initialize()
    if request.support and app.shell:
        # A notebook that submits itself holds the line that does it; inside the run that line must not be an error.
        with contextlib.suppress(ImportError):
            app.shell.extension_manager.load_extension("animus")
    # Closing its sockets in order, ipykernel can wait for a thread that waits for one already stopped (10 s);
    # nobody listens any more, and everything else that runs at the exit of a process still does.
    atexit.unregister(app.close)
    os.write(bound, BOUND)
    os.close(bound)
    app.start()


def _put_away_the_parent(request: Request) -> None:
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    os.umask(0o022)
    os.environ.clear()
    os.environ.update(SET_ON_IMPORT | request.environment)
    os.chdir(request.folder)
    request.limits.apply(count_processes=request.view is not None)
    sys.path[:0] = request.support
    sys.argv = ["ipykernel_launcher", "-f", request.connection_file]
    for name in [name for name in sys.modules if name.partition(".")[0] == "animus_runner"]:
        del sys.modules[name]
    random.seed(request.seed)
    # A crash says where it happened, in the log; ipykernel is going to take over stderr.
    faulthandler.enable(os.dup(sys.stderr.fileno()), all_threads=False)


def loaded_modules() -> dict[str, tuple[ModuleType, int]]:
    """Return what is loaded now, by name, with the number of names in each."""
    modules = [(name, module) for name, module in sys.modules.items() if type(module) is ModuleType]
    return {name: (module, len(vars(module))) for name, module in modules if name not in TAKEN_APART}


def spare(loaded: dict[str, tuple[ModuleType, int]]) -> None:
    """Have the end of the interpreter pass over modules of before the fork, except where names were added since.

    To take them apart is to copy every page they lie on, a quarter of what a short run costs. What a run has made is
    taken apart as ever, so that its files are written and its finalizers run.

    Args:
        loaded: The modules, as they were before the fork.
    """
    # Of the others, too, none may go by itself before it is emptied: what is spared may still refer to what is in it.
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(list(sys.modules.values())))
    for name, (module, size) in loaded.items():
        if sys.modules.get(name) is module and len(vars(module)) == size:
            del sys.modules[name]
