# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The verdict is the worst of all cells and artifacts; it says where and why, and is the same from either side."""

from __future__ import annotations

import base64
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from animus_contracts.artifacts import ArtifactKind
from animus_contracts.comparisons import CauseKind, ComparedRun, ComparisonRequest, Match, Tolerances
from animus_contracts.decoding import decode_json
from animus_contracts.runs import Failure, FailureReason, RunState
from animus_runner.comparison.cells import MAX_CELLS, compare_cells
from animus_runner.comparison.diffs import MAX_DIFF, cell_diff
from animus_runner.comparison.normalisation import Cell, normalised_cells
from animus_runner.comparison.verdict import compare
from tests.unit.runner.comparison.sides import a_request, code, compared, markdown, notebook, result, stream

SAME, E, D, N = Match.IDENTICAL, Match.EQUIVALENT, Match.DIFFERENT, Match.INCOMPARABLE
ERROR = {"output_type": "error", "ename": "KeyError", "evalue": "'x'", "traceback": ["line 1"]}


def png(content: bytes) -> str:
    return base64.b64encode(content).decode()


@pytest.mark.parametrize(
    ("left", "right", "match"),
    [
        ([stream("a")], [stream("a")], SAME),
        ([stream("a")], [stream("b")], D),
        ([stream("0.5")], [stream("0.50000000000001")], E),
        ([stream("a")], [stream("a", "stderr")], D),
        ([stream("a")], [], D),
        ([stream("a")], [result({"text/plain": "a"})], D),
        ([result({"text/plain": "1.5"})], [result({"text/plain": "1.50000000000001"})], E),
        ([result({"text/html": "<td>1.5</td>"})], [result({"text/html": "<td>1.50000000000001</td>"})], E),
        ([result({"text/plain": "a"})], [result({"text/html": "a"})], D),
        ([result({"application/json": {"a": 0.5}})], [result({"application/json": {"a": 0.5 + 1e-13}})], E),
        ([result({"application/json": {"a": 1}})], [result({"application/json": {"a": True}})], D),
        ([result({"image/png": png(b"x")})], [result({"image/png": png(b"y")})], N),
        ([result({"image/png": "?"})], [result({"image/png": 3})], N),
        ([result({"image/jpeg": "eA=="})], [result({"image/jpeg": "eQ=="})], D),
        ([ERROR], [ERROR], SAME),
        ([ERROR], [ERROR | {"evalue": "'y'"}], D),
    ],
)
def test_outputs_are_as_alike_as_what_they_show(
    tmp_path: Path, left: list[dict[str, Any]], right: list[dict[str, Any]], match: Match
) -> None:
    found = compared(tmp_path, [code("f()", *left)], [code("f()", *right)])
    assert found.verdict is match
    assert (found.cells_compared, found.cells_identical) == (1, int(match is SAME))
    assert [cell.match for cell in found.cells] == ([] if match is SAME else [match])
    assert found.first_differing_cell == (0 if match in {D, N} else None)
    assert bool(found.causes) is (match is not SAME)


@pytest.mark.parametrize(
    ("cell", "file", "verdict"),
    [(a, b, max((a, b), key=list(Match).index)) for a in (SAME, E, D) for b in (SAME, E, N, D)],
)
def test_the_worst_match_is_the_verdict(tmp_path: Path, cell: Match, file: Match, verdict: Match) -> None:
    cells = {SAME: "1.0", E: "1.00000000000001", D: "2.0"}
    files = {SAME: "[1.0]", E: "[1.00000000000001]", N: "[", D: "[2.0]"}
    found = compared(
        tmp_path,
        [code("f()", stream("1.0"))],
        [code("f()", stream(cells[cell]))],
        files=({"a.json": "[1.0]"}, {"a.json": files[file]}),
    )
    assert found.verdict is verdict


def test_everything_about_a_difference_is_told(tmp_path: Path) -> None:
    source = "import random\nprint('lot', random.random())"
    left = [markdown("# title"), code("x = 1", cell_id="a"), code(source, stream("lot 0.5\n"), cell_id="b")]
    right = [markdown("# title"), code("x = 1", cell_id="a"), code(source, stream("lot 0.75\n"), cell_id="b")]
    found = compared(tmp_path, left, right)
    [cell] = found.cells
    assert (cell.cell_index, cell.cell_id, cell.detail) == (2, "b", "line 1: 'lot 0.5' and 'lot 0.75'")
    assert cell.diff == "## modified /outputs/0/text:\n@@ -1 +1 @@\n-  lot 0.5\n+  lot 0.75"
    assert [(cause.kind, cause.cell_index, cause.line) for cause in found.causes] == [
        (CauseKind.UNSEEDED_RANDOMNESS, 2, 2)
    ]
    assert found.normalisation == "animus.normalisation.v1"
    assert decode_json(msgspec.json.encode(found), type(found)) == found


def test_cells_are_paired_by_id_when_the_code_changed() -> None:
    left = notebook(code("a", stream("1"), cell_id="1"), code("b", stream("2"), cell_id="2"))
    right = notebook(
        code("new", stream("0"), cell_id="0"),
        code("a + 0", stream("1"), cell_id="1"),
        code("b", stream("2"), cell_id="2"),
    )
    pairs = compare_cells(normalised_cells(left, ""), normalised_cells(right, ""), Tolerances())
    assert [
        (pair.left and pair.left.cell_id, pair.right and pair.right.cell_id, pair.finding.match) for pair in pairs
    ] == [
        (None, "0", D),
        ("1", "1", SAME),
        ("2", "2", SAME),
    ]


def test_cells_without_ids_are_paired_by_place(tmp_path: Path) -> None:
    sides = [[code("a", stream("1"), cell_id=name), code("b", stream("2"), cell_id=f"{name}2")] for name in "xy"]
    assert compared(tmp_path, sides[0], sides[1]).verdict is SAME


def test_a_cell_that_only_one_side_has_and_that_shows_nothing_is_no_difference_of_outputs(tmp_path: Path) -> None:
    found = compared(tmp_path, [code("a")], [code("a"), code("b = 1")])
    assert found.verdict is SAME


FAILED = {"state": RunState.FAILED, "failure": Failure(reason=FailureReason.USER_CODE, summary="no")}
KILLED = {"state": RunState.FAILED, "failure": Failure(reason=FailureReason.KILLED, summary="no")}


@pytest.mark.parametrize(
    ("left", "right", "verdict", "note"),
    [
        ({}, {}, SAME, None),
        (FAILED, FAILED, SAME, "Both runs failed (user_code); what was produced until then was compared."),
        (FAILED, {}, D, "The left run failed (user_code), the right run succeeded."),
        (FAILED, KILLED, D, "The left run failed (user_code), the right run failed (killed)."),
    ],
)
def test_runs_that_ended_differently_are_different(
    tmp_path: Path, left: dict[str, Any], right: dict[str, Any], verdict: Match, note: str | None
) -> None:
    found = compared(tmp_path, [code("a")], [code("a")], facts=(left, right))
    assert (found.verdict, found.notes) == (verdict, [note] if note else [])


def without_notebook(side: ComparedRun) -> ComparedRun:
    kept = [file for file in side.artifacts if file.entry.kind is not ArtifactKind.NOTEBOOK]
    return msgspec.structs.replace(side, artifacts=kept)


def test_a_notebook_that_is_missing_is_told(tmp_path: Path) -> None:
    request = a_request(tmp_path, [code("a")], [code("a")])
    one = ComparisonRequest(left=request.left, right=without_notebook(request.right))
    both = ComparisonRequest(left=without_notebook(request.left), right=without_notebook(request.right))
    assert (compare(one).verdict, compare(one).notes) == (D, ["The right run left no notebook."])
    assert compare(both).verdict is N


@pytest.mark.parametrize("content", [b"", b"[", b"[" * 100_000, b"\xff\xfe", b'{"cells": 1' + b"0" * 10_000 + b"}"])
def test_a_notebook_that_cannot_be_read_is_told(tmp_path: Path, content: bytes) -> None:
    request = a_request(tmp_path, [code("a")], [code("a")])
    for side in (request.left, request.right):
        Path(str(side.artifacts[-1].path)).write_bytes(content)
    found = compare(request)
    assert found.verdict is N
    assert len(found.notes) == 2


def test_bytes_that_are_gone_are_told(tmp_path: Path) -> None:
    request = a_request(tmp_path, [code("a")], [code("a")], files=({"a.csv": "1"}, {"a.csv": "2"}))
    gone = [msgspec.structs.replace(file, path=None) for file in request.right.artifacts]
    found = compare(ComparisonRequest(left=request.left, right=msgspec.structs.replace(request.right, artifacts=gone)))
    assert found.notes == ["The right run's notebook is gone."]
    assert [artifact.match for artifact in found.artifacts] == [N]


def test_a_diff_is_bounded_and_begins_where_the_difference_does() -> None:
    beginning = "same line\n" * 100_000
    [left], [right] = (
        normalised_cells(notebook(code("f()", stream(beginning + last + "tail\n" * 100_000))), "")
        for last in ("one\n", "two\n")
    )
    diff = cell_diff(left, right)
    assert "-  one" in diff
    assert "+  two" in diff
    assert len(diff) <= MAX_DIFF + 100


def test_a_picture_is_shown_as_its_digest() -> None:
    [left], [right] = (
        normalised_cells(notebook(code("f()", result({"image/png": png(it)}))), "") for it in (b"x", b"y")
    )
    assert cell_diff(left, right).count("a picture, sha256:") == 2


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("a\n" * 9000, "b\n" + "a\n" * 9000),
        ("a" * 9000 + "b", "c" + "a" * 9000),
        ("\n" * 9000, "x\n" * 4500),
        ("ab\n\nba" * 2000, "ba\n\nab" * 2000),
    ],
)
def test_hostile_text_does_not_hold_up_the_diff(left: str, right: str) -> None:
    [ours], [theirs] = (
        normalised_cells(notebook(code("f()", *(result({"text/plain": text}) for _ in range(20)))), "")
        for text in (left, right)
    )
    began = time.process_time()
    assert cell_diff(ours, theirs)
    assert time.process_time() - began < 15


def test_cells_that_are_all_alike_are_paired_in_little_time() -> None:
    cells = [Cell(index=index, cell_id="", source="same") for index in range(MAX_CELLS)]
    began = time.process_time()
    compare_cells(cells, [Cell(index=0, cell_id="", source="other"), *cells], Tolerances())
    assert time.process_time() - began < 10


def test_ten_thousand_outputs_do_not_hold_up_the_diff() -> None:
    [left], [right] = (
        normalised_cells(
            notebook(code("f()", *(result({"text/plain": f"{number}{last}"}) for number in range(10_000)))), ""
        )
        for last in "ab"
    )
    assert cell_diff(left, right)


outputs = st.lists(
    st.one_of(
        st.builds(stream, st.text(max_size=20), st.sampled_from(["stdout", "stderr"])),
        st.builds(lambda text: result({"text/plain": text}), st.text(max_size=20)),
        st.builds(lambda number: result({"application/json": number, "text/plain": ""}), st.floats() | st.integers()),
    ),
    max_size=4,
)
notebooks = st.lists(
    st.builds(lambda name, found: code(name, *found, cell_id=name), st.sampled_from("abc"), outputs), max_size=4
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(left=notebooks, right=notebooks)
def test_verdict_is_symmetric_and_a_run_is_identical_to_itself(
    tmp_path_factory: pytest.TempPathFactory, left: list[dict[str, Any]], right: list[dict[str, Any]]
) -> None:
    request = a_request(tmp_path_factory.mktemp("sides"), left, right)
    itself = ComparisonRequest(left=request.left, right=request.left)
    back = ComparisonRequest(left=request.right, right=request.left)
    assert (compare(itself).verdict, compare(itself).cells, compare(itself).causes) == (SAME, [], [])
    assert compare(request).verdict is compare(back).verdict
