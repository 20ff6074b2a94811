# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A cache shrinks to its size by what was used longest ago, and never by what may be in use."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from animus_executor.caches import trim

DAY = 86_400.0


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """Four files of ten bytes, used four, three, two days and no time ago."""
    now = time.time()
    for name, age in {"old": 4 * DAY, "older than most": 3 * DAY, "young": 2 * DAY, "in use": 0.0}.items():
        path = tmp_path / name[:2] / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"0123456789")
        os.utime(path, (now - age, now - age))
    return tmp_path


def names(cache: Path) -> set[str]:
    return {path.name for path in cache.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("most", "left"),
    [
        (40, {"old", "older than most", "young", "in use"}),
        (39, {"older than most", "young", "in use"}),
        (20, {"young", "in use"}),
        (0, {"in use"}),
    ],
)
def test_the_files_used_longest_ago_go_first_and_those_in_use_stay(cache: Path, most: int, left: set[str]) -> None:
    assert trim(cache, most) == 10 * len(left)
    assert names(cache) == left


def test_a_cache_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert trim(tmp_path / "none", 10) == 0
