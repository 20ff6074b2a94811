# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every planted bug still has its place in the sources and its tests; that it is caught is shown by planting it."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from tests.faults.bug import Bug
from tests.faults.planted import BUGS, ROOT
from tests.faults.planting import MISSED, Catch, page

ENOUGH = 12


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_a_bug_can_be_planted_and_leaves_a_program(bug: Bug, tmp_path: Path) -> None:
    for place in {edit.place for edit in bug.edits}:
        (tmp_path / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / place, tmp_path / place)
    for edit in bug.edits:
        edit.apply(tmp_path)
        ast.parse((tmp_path / edit.place).read_text(encoding="utf-8"))


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.name)
def test_the_tests_that_catch_a_bug_exist(bug: Bug) -> None:
    assert bug.caught_by
    for test in bug.caught_by:
        place, _, name = test.partition("::")
        assert f"def {name or 'test_'}" in (ROOT / place).read_text(encoding="utf-8")


def test_there_are_enough_bugs_and_none_is_there_twice() -> None:
    assert len({bug.name for bug in BUGS}) == len(BUGS) >= ENOUGH


def test_a_bug_that_is_planted_alone_changes_its_own_row_and_no_other() -> None:
    first, second = BUGS[:2]
    both = page(
        [
            Catch(first, "tests/a.py", noticed=True, seconds=1.0, commit="c"),
            Catch(second, "tests/b.py", noticed=False, seconds=2.0, commit="c"),
        ],
        "",
    )
    after = page([Catch(second, "tests/b.py", noticed=True, seconds=3.0, commit="d")], both)
    assert f"1 of {len(BUGS)} were caught" in both
    assert f"2 of {len(BUGS)} were caught" in after
    assert set(both.splitlines()) & set(after.splitlines()) >= {
        Catch(first, "tests/a.py", noticed=True, seconds=1.0, commit="c").row().strip()
    }
    assert MISSED not in after
