# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What executing a notebook needs and gives, and what the kernel gets to see of it.

The kernel's environment is written here from nothing: no variable of the executor reaches user code.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from animus_contracts.digests import Digest
from animus_contracts.environments import Resources
from animus_contracts.executions import Verdict
from animus_contracts.runs import Failure, Limitation
from animus_runner.kernels import KernelFacts
from animus_runner.limits import MIB

THREAD_VARIABLES = (
    "LOKY_MAX_CPU_COUNT",
    "MKL_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)
PROGRAMS = "/usr/local/bin:/usr/bin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotebookAssignment:
    """One notebook to execute.

    Attributes:
        run_id: Told to user code.
        notebook: The notebook, inside ``checkout``; its folder is the kernel's working folder, as in JupyterLab.
        output: Where the executed notebook is written; user code cannot see it.
        log: File for what the kernel's process writes past Jupyter; user code cannot see it.
        parameters: Values by name.
        parameters_schema_digest: Digest of the declaration that was bound at submission.
        python: The environment's interpreter.
        kernel_parent: Socket of the environment's kernel parent.
        checkout: The code, read-only.
        inputs: One folder per input, read-only.
        outputs: What is left here is an artifact; writable.
        scratch: Home and temporary folder; writable.
        support: Folder that makes ``animus`` importable.
        channel: Socket on which user code talks to the supervisor, if there is one.
        resources: What the run may use.
        seed: Seed of the run, if it has one.
        cell_seconds: How long one cell may take; None sets no bound but the run's.
        spent_seconds: How much of the run's wall time has gone by before: for fetching code and inputs.
        environment: Further variables for the kernel.
    """

    run_id: str
    notebook: Path
    output: Path
    log: Path
    parameters: dict[str, Any]
    parameters_schema_digest: Digest
    python: Path
    kernel_parent: str
    checkout: Path
    inputs: Path
    outputs: Path
    scratch: Path
    support: Path
    resources: Resources
    channel: Path | None = None
    seed: int | None = None
    cell_seconds: float | None = None
    spent_seconds: float = 0.0
    environment: dict[str, str] = field(default_factory=dict)

    def determinism(self) -> dict[str, str]:
        """Return the variables that are set so that equal runs give equal results; for provenance."""
        threads = str(max(1, math.ceil(self.resources.cpus)))
        seed = {} if self.seed is None else {"ANIMUS_SEED": str(self.seed)}
        return {"PYTHONHASHSEED": "0", **dict.fromkeys(THREAD_VARIABLES, threads), **seed}

    def kernel_request(self) -> dict[str, Any]:
        """Return what the kernel parent is asked to run, see :class:`animus_runner.warden.Request`."""
        memory = self.resources.memory_mib * MIB
        read_only = [str(path) for path in (self.checkout, self.inputs, self.support)]
        writable = [str(path) for path in (self.outputs, self.scratch, self.channel) if path]
        return {
            "folder": str(self.notebook.parent),
            "environment": self._variables(),
            "support": [str(self.support)],
            "log": str(self.log),
            "view": {
                "read_only": read_only,
                "writable": writable,
                "temporary": str(self.scratch),
                "shared_memory": memory // 2,
            },
            "limits": {
                "memory": memory,
                "file_size": self.resources.file_mib * MIB,
                "processes": self.resources.processes,
            },
            "seed": self.seed,
        }

    def _variables(self) -> dict[str, str]:
        scratch = str(self.scratch)
        channel = {"ANIMUS_RUN_SOCKET": str(self.channel)} if self.channel else {}
        return {
            **self.environment,
            **self.determinism(),
            **channel,
            "ANIMUS_RUN_ID": self.run_id,
            "ANIMUS_INPUTS_DIR": str(self.inputs),
            "ANIMUS_OUTPUTS_DIR": str(self.outputs),
            "HOME": scratch,
            "LANG": "C.UTF-8",
            "PATH": f"{self.python.parent}:{PROGRAMS}",
            "PYTHONDONTWRITEBYTECODE": "1",  # code and environment are read-only
            "PYTHONNOUSERSITE": "1",
            "PYTHONPATH": str(self.support),
            "TMPDIR": scratch,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a notebook went.

    Attributes:
        verdict: Succeeded only when every cell was seen to end well.
        failure: Why it failed; exactly when failed.
        facts: Interpreter and packages of the kernel; None when no kernel was reached.
        peak_memory_mib: Peak resident memory of the run; None when unknown.
        limitations: What the run was not protected from.
        environment: Variables set for determinism.
    """

    verdict: Verdict
    failure: Failure | None
    facts: KernelFacts | None
    peak_memory_mib: float | None
    limitations: list[Limitation]
    environment: dict[str, str]


class Cancellation:
    """A request to stop that can be made from a signal handler or another thread, and waited for with others."""

    def __init__(self) -> None:
        self._reader, self._writer = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._reader)
        os.close(self._writer)

    def request(self) -> None:
        """Ask to stop."""
        os.write(self._writer, b"c")

    def fileno(self) -> int:
        """Descriptor that stays readable once the request was made."""
        return self._reader
