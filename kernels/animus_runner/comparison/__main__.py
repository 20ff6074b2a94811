# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Answer one request: a ``ComparisonRequest`` on standard input, an ``OutputComparison`` on standard output.

The files a request names were written by anybody, so they are opened in a process that has bounds on time and memory,
cannot write files and, where the machine allows it, sees nothing but them and reaches no network. A request that cannot
be answered is one line on standard error and another exit status than 0.
"""

from __future__ import annotations

import os
import resource
import sys
from pathlib import Path

import msgspec

from animus_contracts.comparisons import ComparisonRequest, OutputComparison
from animus_contracts.decoding import decode_json
from animus_runner import sandbox
from animus_runner.comparison.verdict import compare

MAX_MEMORY = 3 << 30
MAX_SECONDS = 300
NOT_ISOLATED = "This machine has no sandbox: the comparison could see other files."


def main() -> None:
    """Compare, in a child without rights."""
    try:
        asked = decode_json(sys.stdin.buffer.read(), ComparisonRequest)
    except msgspec.MsgspecError as error:
        sys.exit(f"comparison: not a request that can be read: {error}")
    try:
        sandbox.separate_processes()
        notes = []
    except OSError:
        notes = [NOT_ISOLATED]
    child = os.fork()
    if child == 0:
        _answer(asked, notes)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        sys.exit(f"comparison: ended by signal {-code}, as when it takes longer than {MAX_SECONDS} s")
    sys.exit(code)


def _answer(asked: ComparisonRequest, notes: list[str]) -> None:
    """Compare and write the answer; never returns."""
    status = 1
    try:
        sandbox.die_with_parent()
        _leave_the_machine(asked, notes)
        _bound()
        answer = compare(asked)
        _write(msgspec.structs.replace(answer, notes=[*answer.notes, *notes]))
        status = 0
    except Exception as error:  # noqa: BLE001 - the edge of the process: told in one line
        sys.stderr.write(f"comparison: {type(error).__name__}: {error}\n")
        sys.stderr.flush()
    finally:
        os._exit(status)


def _leave_the_machine(asked: ComparisonRequest, notes: list[str]) -> None:
    if notes:
        return
    files = {Path(file.path) for side in (asked.left, asked.right) for file in side.artifacts if file.path}
    folders = {file.parent for file in files}
    for path in (*folders, *files):
        path.chmod(0o755 if path in folders else 0o444)  # whoever reads them from here on may be another user
    interpreter = {sys.prefix, sys.base_prefix, *(path for path in sys.path if Path(path).is_dir())}
    try:
        sandbox.build(sandbox.View(read_only=(*map(str, sorted(folders)), *sorted(interpreter))))
        sandbox.drop_privileges()
    except OSError:
        notes.append(NOT_ISOLATED)


def _bound() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    resource.setrlimit(resource.RLIMIT_DATA, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def _write(answer: OutputComparison) -> None:
    remaining = memoryview(msgspec.json.encode(answer))
    while remaining:
        remaining = remaining[os.write(sys.stdout.fileno(), remaining) :]


if __name__ == "__main__":
    main()
