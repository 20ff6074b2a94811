# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Look at a notebook: an ``InspectionRequest`` on standard input, ``NotebookFindings`` on standard output.

The code is fetched exactly as a run would fetch it, and nothing of it is executed. What would keep a run from its
first cell is a finding; only what this process itself cannot do is another exit status than 0.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

import msgspec

from animus_contracts.decoding import decode_json
from animus_contracts.inspections import InspectionRequest, NotebookFindings
from animus_contracts.parameter_cells import has_parameters_cell
from animus_contracts.runs import CodeRef
from animus_contracts.undefined_names import undefined_names
from animus_runner.code import FetchLimits, check_out
from animus_runner.exits import FailedError
from animus_runner.git_objects import Checkout
from animus_runner.injection import declared
from animus_runner.notebook_files import find, load
from animus_runner.refs import resolve
from animus_runner.sandbox import die_with_parent

MAX_MEMORY = 2 << 30
MAX_SECONDS = 150


def main() -> None:
    """Answer one request."""
    die_with_parent()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    asked = decode_json(sys.stdin.buffer.read(), InspectionRequest)
    sys.stdout.buffer.write(msgspec.json.encode(inspect(asked)))


def inspect(asked: InspectionRequest) -> NotebookFindings:
    """Return what can be seen of a notebook, or why it cannot be run."""
    limits = FetchLimits(seconds=asked.fetch_seconds, mebibytes=asked.fetch_mib)
    commit = tree = ""
    try:
        commit = resolve(asked.repository, asked.ref, asked.repositories, limits)
        code = CodeRef(repository=asked.repository, commit=commit, path=asked.path)
        cache = Path(asked.cache_folder) / "repositories"
        checkout = check_out(code, Path(asked.folder) / "checkout", cache, asked.repositories, limits)
        tree = checkout.tree
        return _looked_at(checkout, code)
    except FailedError as error:
        return NotebookFindings(commit=commit, tree=tree, problem=error.failure)


def _looked_at(checkout: Checkout, code: CodeRef) -> NotebookFindings:
    notebook = load(find(checkout, code.path))
    return NotebookFindings(
        commit=code.commit,
        tree=checkout.tree,
        parameters=declared(notebook),
        has_parameters_cell=has_parameters_cell(notebook),
        undefined_names=undefined_names(notebook),
    )


if __name__ == "__main__":
    main()
