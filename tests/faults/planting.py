# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.faults.planting`` plants every bug in a copy of the sources and sees whether its tests notice.

First the tests must pass on the copy as it is; then each bug is planted alone. What happened is written to
``docs/reference/planted-bugs.md``; a bug that nobody noticed makes the command fail. With words as arguments only bugs
whose name has one of them are planted, and only their rows are written anew.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.faults.bug import Bug
from tests.faults.campaign import commit
from tests.faults.planted import BUGS, ROOT

COPIED = ("hub_extension", "kernels", "server_extension", "tests", "docs", "pyproject.toml")
SOURCES = ("hub_extension", "kernels", "server_extension")
PAGE = ROOT / "docs" / "reference" / "planted-bugs.md"
FAILED_TESTS = 1  # pytest's status; any other one means that the tests did not get as far as to judge
SECONDS = 600.0
MISSED = "**not caught**"
ABOUT = """# Planted bugs

<!-- Written by `make planted` from the run itself. -->

The tests are tested: each bug takes one safeguard out of a copy of the sources, and a test that is named beforehand
must fail. This is what happened the last time: {caught} of {bugs} were caught.

| Bug | Safeguard it removes | Caught by | Seconds | Commit |
|---|---|---|---|---|
"""


@dataclass(frozen=True, slots=True)
class Catch:
    """Whether a test noticed a bug, and how long it took to see a failure."""

    bug: Bug
    test: str
    noticed: bool
    seconds: float
    commit: str

    def row(self) -> str:
        """Return its line of the page."""
        by = f"`{self.test.removeprefix('tests/')}`" if self.noticed else MISSED
        return f"| {self.bug.name} | {self.bug.removes} | {by} | {self.seconds:.0f} | `{self.commit}` |\n"


def copied(folder: Path) -> Path:
    """Copy what the tests need and return the copy."""
    root = folder / "project"
    root.mkdir()
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__", "node_modules"))
        else:
            shutil.copyfile(source, root / name)
    return root


def status_of(tests: Sequence[str], root: Path, *, expected: int) -> int:
    """Run tests against the sources below a folder and return pytest's status; show them when it is another one."""
    places = os.pathsep.join(str(root / name) for name in SOURCES)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-p",
        "no:cacheprovider",
        "--hypothesis-profile=noticing",
        *tests,
    ]
    # A file that is mended within a second of being broken must not be read from the cache of the broken one.
    environment = os.environ | {"PYTHONPATH": places, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=root, env=environment, check=False, capture_output=True, timeout=SECONDS)
    if done.returncode != expected:
        sys.stderr.buffer.write(done.stdout + done.stderr)
    return done.returncode


def caught(bug: Bug, root: Path, *, at: str) -> list[Catch]:
    """Plant a bug in the sources of a commit, run the tests that should notice it, and mend it again."""
    before = {edit.place: (root / edit.place).read_bytes() for edit in bug.edits}
    catches = []
    for edit in bug.edits:
        edit.apply(root)
    for test in bug.caught_by:
        begin = time.monotonic()
        noticed = status_of([test], root, expected=FAILED_TESTS) == FAILED_TESTS
        catches.append(Catch(bug, test, noticed, time.monotonic() - begin, at))
    for place, content in before.items():
        (root / place).write_bytes(content)
    return catches


def page(catches: Sequence[Catch], before: str) -> str:
    """Return the page about what was caught; bugs that were not planted this time keep the rows they had."""
    rows = {
        bug.name: [line for line in before.splitlines(keepends=True) if line.startswith(f"| {bug.name} |")]
        for bug in BUGS
    }
    for name in {catch.bug.name for catch in catches}:
        rows[name] = [catch.row() for catch in catches if catch.bug.name == name]
    caught_all = sum(bool(found) and not any(MISSED in row for row in found) for found in rows.values())
    head = ABOUT.format(caught=caught_all, bugs=len(BUGS))
    return head + "".join(row for found in rows.values() for row in found)


def main() -> int:
    """Plant everything and write the page; returns 1 when a bug went unnoticed."""
    words = sys.argv[1:]
    bugs = [bug for bug in BUGS if not words or any(word in bug.name for word in words)]
    with tempfile.TemporaryDirectory(prefix="animus-planted-") as folder:
        root, at = copied(Path(folder)), commit()
        tests = sorted({test for bug in bugs for test in bug.caught_by})
        if status_of(tests, root, expected=0) != 0:
            sys.stderr.write("the tests do not pass before anything is planted\n")
            return 1
        catches = []
        for bug in bugs:
            for catch in caught(bug, root, at=at):
                catches.append(catch)
                sys.stdout.write(f"{'caught' if catch.noticed else 'MISSED'}  {bug.name}  {catch.test}\n")
                sys.stdout.flush()
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    PAGE.write_text(page(catches, before), encoding="utf-8")
    return 0 if all(catch.noticed for catch in catches) else 1


if __name__ == "__main__":
    sys.exit(main())
