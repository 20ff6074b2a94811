# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Files stay small, licensed, named after a subject, and free of words from one machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.architecture import hygiene
from tests.architecture.source_trees import SPDX, THIS_PROJECT, Rule, planted

SEEDED = [
    (hygiene.oversized, "kernels/animus_runner/long.py", "x = 1\n" * 401),
    (hygiene.oversized, "kernels/animus_runner/deep.py", "def f() -> None:\n" + "    x = 1\n" * 60),
    (hygiene.empty_names, "kernels/animus_runner/utils.py", ""),
    (hygiene.empty_names, "kernels/animus_runner/helpers/__init__.py", ""),
    (hygiene.missing_headers, "docs/script.py", '"""No licence."""\n'),
    (hygiene.missing_headers, "deploy/start.sh", "#!/bin/sh\nset -e\n" + SPDX),
    (hygiene.missing_docstrings, "kernels/animus_runner/mute.py", SPDX + "x = 1\n"),
    (hygiene.leaks, "README.md", "see " + "py" + "pi.org\n"),
    (hygiene.leaks, "deploy/locks/a.txt", "--index-url https://files." + "python" + "hosted.org/simple\n"),
    (hygiene.leaks, "docs/a.md", "run it in /" + "home/ann/animus\n"),
    (hygiene.leaks, "docs/b.md", "in /" + "root/.cache\n"),
]
HARMLESS = [
    (hygiene.oversized, "kernels/animus_runner/just.py", "x = 1\n" * 400),
    (hygiene.empty_names, "kernels/animus_runner/workspace.py", ""),
    (hygiene.missing_headers, "deploy/start.sh", "#!/bin/sh\n" + SPDX + "set -e\n"),
    (hygiene.leaks, "docs/c.md", "mounted at /home inside the run; see docs/home/ann.md\n"),
]


@pytest.mark.parametrize(
    "rule",
    [hygiene.oversized, hygiene.empty_names, hygiene.missing_headers, hygiene.missing_docstrings, hygiene.leaks],
)
def test_rule_holds(rule: Rule) -> None:
    assert rule(THIS_PROJECT) == []


@pytest.mark.parametrize(("rule", "place", "text"), SEEDED)
def test_fault_is_noticed(tmp_path: Path, rule: Rule, place: str, text: str) -> None:
    assert len(rule(planted(tmp_path, {place: text}))) == 1


@pytest.mark.parametrize(("rule", "place", "text"), HARMLESS)
def test_harmless_file_is_left_alone(tmp_path: Path, rule: Rule, place: str, text: str) -> None:
    assert rule(planted(tmp_path, {place: text})) == []
