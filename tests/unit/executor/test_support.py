# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A run that outlives an executor keeps the sources of ``animus`` that it has begun with."""

from __future__ import annotations

from pathlib import Path

from animus_executor.support import provide_support


def test_the_same_sources_are_the_same_folder_and_nothing_else_is_left(tmp_path: Path) -> None:
    first = provide_support(tmp_path / "support")
    inode = (first / "animus" / "__init__.py").stat().st_ino
    assert provide_support(tmp_path / "support") == first
    assert (first / "animus" / "__init__.py").stat().st_ino == inode
    assert list((tmp_path / "support").iterdir()) == [first]
    assert {path.stat().st_mode & 0o222 for path in first.rglob("*")} == {0}


def test_other_sources_stay_as_long_as_a_run_may_use_them(tmp_path: Path) -> None:
    older = tmp_path / "support" / "older" / "animus"
    older.mkdir(parents=True)
    provide_support(tmp_path / "support", is_shared=True)
    assert older.is_dir()
    provide_support(tmp_path / "support")
    assert not older.exists()
