# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Text is compared word for word; a fraction in it is a number."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from animus_contracts.comparisons import Match, Tolerances
from animus_runner.comparison.texts import compare_texts, shared_lines

EXACT = Tolerances()
LOOSE = Tolerances(relative=0.1)
SAME, E, D = Match.IDENTICAL, Match.EQUIVALENT, Match.DIFFERENT


@pytest.mark.parametrize(
    ("left", "right", "tolerances", "match"),
    [
        ("loss 0.3", "loss 0.3", EXACT, SAME),
        ("loss 0.30000000000000004", "loss 0.3", EXACT, E),
        ("loss 0.31", "loss 0.3", EXACT, D),
        ("loss 0.31", "loss 0.3", LOOSE, E),
        ("loss  0.31 |", "loss 0.3 |", LOOSE, E),
        ("1e-5 and 2.5E+3.", "1.0000000000001e-5 and 2.5E+3.", EXACT, E),
        ("1.5j", "1.50000000000001j", EXACT, E),
        ("-0.0", "0.0", EXACT, E),
        ("accuracy 0.99999999999.", "accuracy 0.99999999998.", EXACT, E),
        # what is no fraction is exact
        ("1000000000 rows", "1000000001 rows", LOOSE, D),
        ("version 1.2.3", "version 1.2.4", LOOSE, D),
        ("0xe5", "0xe6", LOOSE, D),
        ("12e500", "13e500", EXACT, D),
        ("10:00:01", "10:00:02", LOOSE, D),
        ("2026-01-02", "2026-01-03", LOOSE, D),
        ("3.2s", "3.3s", LOOSE, D),
        ("a1.5", "a1.6", LOOSE, D),
        ("1", "1.0", LOOSE, D),
        # white space
        ("a  b", "a b", LOOSE, D),
        ("0.5 a\n", "0.5 a", LOOSE, D),
        ("0.5\n0.5", "0.5 0.5", LOOSE, D),
        # more or fewer numbers
        ("0.5 0.5", "0.5", LOOSE, D),
        ("", "0.5", LOOSE, D),
    ],
)
def test_texts_are_as_alike_as_their_words_and_fractions(
    left: str, right: str, tolerances: Tolerances, match: Match
) -> None:
    assert compare_texts(left, right, tolerances).match is match
    assert compare_texts(right, left, tolerances).match is match


def test_the_largest_difference_is_told() -> None:
    found = compare_texts("1.0 and 200.0", "1.1 and 201.0", LOOSE)
    assert (found.match, found.absolute) == (E, 1.0)
    assert found.relative == pytest.approx(0.1 / 1.1)


def test_the_first_line_that_differs_is_told() -> None:
    assert compare_texts("a\nb\nc", "a\nx\ny", EXACT).detail == "line 2: 'b' and 'x'"
    assert compare_texts("a", "a\nb", EXACT).detail == "line 2: nothing and 'b'"


@given(st.text(), st.text())
def test_verdict_is_symmetric_and_a_text_is_identical_to_itself(left: str, right: str) -> None:
    assert compare_texts(left, left, EXACT).match is SAME
    assert compare_texts(left, right, EXACT).match is compare_texts(right, left, EXACT).match


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1))
def test_numbers_written_differently_are_equivalent(numbers: list[float]) -> None:
    left, right = " ".join(map(repr, numbers)), " ".join(f"{number:.17e}" for number in numbers)
    assert compare_texts(left, right, EXACT).match in {SAME, E}


@given(st.text(alphabet="ab\n"), st.text(alphabet="ab\n"))
def test_shared_lines_are_shared_and_whole(left: str, right: str) -> None:
    count = shared_lines(left, right)
    assert left[:count] == right[:count]
    assert count == 0 or left[count - 1] == "\n"


@pytest.mark.parametrize("text", ["1" * 500_000, "1." * 250_000, "1e" * 250_000, "-." * 250_000, " " * 500_000])
def test_hostile_text_takes_linear_time(text: str) -> None:
    began = time.process_time()
    compare_texts(f"{text}a", f"{text}b", EXACT)
    assert time.process_time() - began < 5
