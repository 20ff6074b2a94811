# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Replaying each notebook of the corpus says the right thing about it, for the right reason."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from animus_contracts.comparisons import Confidence
from animus_runner import sandbox
from animus_runner.kernels import own_parent
from tests.corpus.expectations import REPLAYS, Expected
from tests.corpus.replays import HERE, replay

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(bool(sandbox.missing()), reason="outside of a sandbox process ids and paths are chance as well"),
]
MEMORY = Path("/dev/shm")  # noqa: S108 - where the order of a folder is the order in which its files were made


@pytest.fixture(scope="module")
def parents() -> Iterator[tuple[str, str]]:
    with own_parent(sys.executable) as first, own_parent(sys.executable) as second:
        yield first, second


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(dir=MEMORY if MEMORY.is_dir() else None))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def named(expected: Expected) -> str:
    return f"{expected.notebook}-{expected.cause or 'identical'}"


@pytest.mark.parametrize("expected", REPLAYS, ids=named)
def test_replay_is_judged_rightly(expected: Expected, folder: Path, parents: tuple[str, str]) -> None:
    found = replay(folder, expected, parents)

    assert found.verdict is expected.verdict, (found.cells, found.artifacts, found.notes)
    first = found.causes[0] if found.causes else None
    assert (first and first.kind) == expected.cause, found.causes
    assert found.first_differing_cell == expected.cell
    assert {artifact.name: artifact.match for artifact in found.artifacts} == expected.artifacts
    if expected.cause:
        assert first
        assert first.confidence is Confidence.LIKELY


def test_every_notebook_of_the_corpus_is_replayed() -> None:
    assert {path.stem for path in HERE.glob("*.ipynb")} == {expected.notebook for expected in REPLAYS}
    assert len({expected.notebook for expected in REPLAYS}) >= 30
