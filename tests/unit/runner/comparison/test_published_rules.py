# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The published page about normalisation says what the code does."""

from __future__ import annotations

import re

import pytest

from animus_contracts.comparisons import NORMALISATION, CauseKind, Match, Tolerances
from animus_runner.comparison import arrays, artifacts, diffs, parquet, pictures, tables, verdict
from animus_runner.comparison.causes import MAX_CAUSES
from tests.architecture.source_trees import PROJECT

PAGE = (PROJECT / "docs/reference/normalisation.md").read_text(encoding="utf-8")
EXPLANATION = (PROJECT / "docs/explanation/replay-verdicts.md").read_text(encoding="utf-8")
WORDS = [NORMALISATION, *artifacts.COMPARERS, *Match]


@pytest.mark.parametrize("word", WORDS)
def test_page_names(word: str) -> None:
    assert f"`{word}`" in PAGE


def test_page_names_no_file_that_is_not_compared_by_value() -> None:
    by_value = PAGE.partition("## How artifacts are compared")[2].partition("| all others")[0]
    assert set(re.findall(r"`(\.\w+)`", by_value)) == set(artifacts.COMPARERS)


def test_page_tells_the_numbers() -> None:
    tolerances = Tolerances()
    for sentence in (
        f"By default `relative` is {tolerances.relative:g}".replace("1e-09", "1e-9")
        + f" and `absolute` is {tolerances.absolute:g}",
        f"Files up to {artifacts.MAX_BYTES >> 20} MiB and notebooks up to {verdict.MAX_NOTEBOOK >> 20} MiB",
        f"arrays and pixels up to {arrays.MAX_BYTES >> 20} MiB when unpacked",
        f"{verdict.MAX_TOLD} cells, shows the diff of {verdict.MAX_DIFFS} (each up to {diffs.MAX_DIFF >> 10} KiB)",
        f"names {MAX_CAUSES} causes",
        f"fields of tables up to\n{tables.MAX_FIELD >> 20} MiB",
        f"Parquet up to {parquet.MAX_VALUES:,} values",
    ):
        assert sentence in PAGE
    assert arrays.MAX_BYTES == pictures.MAX_PIXEL_BYTES


@pytest.mark.parametrize("kind", CauseKind)
def test_every_cause_is_explained(kind: CauseKind) -> None:
    assert f"`{kind}`" in EXPLANATION
