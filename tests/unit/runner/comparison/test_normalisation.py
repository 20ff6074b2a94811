# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What is left out of an executed notebook is what the published rules name, and nothing else."""

from __future__ import annotations

import time

import pytest

from animus_runner.comparison.normalisation import normalised_cells, normalised_text
from animus_runner.comparison.pictures import without_generated_ids
from tests.unit.runner.comparison.sides import code, markdown, notebook, result, stream

RUN = "01980000-0000-7000-8000-00000000000a"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("10%\r50%\r100%\n", "100%\n"),
        ("10%\r100%\r", "100%"),
        ("one\r\ntwo\r\n", "one\ntwo\n"),
        (f"run {RUN}", "run <run id>"),
        ("/data/runs/0123456789ab/inputs/train/a.csv", "<run>/inputs/train/a.csv"),
        ("in '/data/runs/0123456789ab/scratch': full", "in '<run>/scratch': full"),
        ("/data/runs/0123456789ab/scratch/ipykernel_7/12.py:3: UserWarning", "<cells>/12.py:3: UserWarning"),
        ("/tmp/ipykernel_12/99.py", "<cells>/99.py"),  # noqa: S108
        ("/data/environments/0123456789abcdef-0123abcd/lib/x.py", "<environment>/lib/x.py"),
        # what stays, because it is the notebook's doing
        ("<A object at 0x7f0011223344>", "<A object at 0x7f0011223344>"),
        ("2026-01-02 10:00:00", "2026-01-02 10:00:00"),
        ("trailing  \n\n", "trailing  \n\n"),
        ("/tmp/tmpabcd1234", "/tmp/tmpabcd1234"),  # noqa: S108
        ("/data/runs/latest/inputs", "/data/runs/latest/inputs"),
        ("/data/runs/0123456789ab/inputs.csv", "/data/runs/0123456789ab/inputs.csv"),
        ("pid 1234", "pid 1234"),
    ],
)
def test_text_is_shown_without_what_is_ours(text: str, shown: str) -> None:
    assert normalised_text(text, RUN) == shown


def test_streams_are_joined_by_name_however_they_were_cut() -> None:
    cut = [stream("a"), stream("x", "stderr"), stream("b\n"), result({"text/plain": "1"}), stream("c")]
    whole = [stream("x", "stderr"), stream("ab\n"), result({"text/plain": "1"}, count=9), stream("c")]
    [first], [second] = (normalised_cells(notebook(code("f()", *outputs)), RUN) for outputs in (cut, whole))
    assert first == second
    assert [output.get("name") for output in first.outputs] == ["stderr", "stdout", None, "stdout"]


def test_lines_of_a_file_are_joined() -> None:
    [cell] = normalised_cells(
        notebook(code("f()", {"output_type": "stream", "name": "stdout", "text": ["a\n", "b"]})), RUN
    )
    assert cell.outputs == [stream("a\nb")]


def test_cells_are_counted_as_at_the_commit() -> None:
    cells = normalised_cells(
        notebook(
            markdown("failed", "papermill-error-cell-tag"),
            markdown("# title"),
            code("n = 1", tags=("parameters",)),
            code("# Parameters", tags=("injected-parameters",)),
            markdown("here", "papermill-error-cell-tag"),
            code("n"),
        ),
        RUN,
    )
    assert [cell.index for cell in cells] == [1, None, 2]


def test_counts_and_metadata_are_no_output() -> None:
    one, other = result({"text/plain": "1"}, 1), result({"text/plain": "1"}, 2) | {"metadata": {"m": 1}}
    assert normalised_cells(notebook(code("x", one)), RUN) == normalised_cells(notebook(code("x", other)), RUN)


def test_address_of_an_object_counts_only_where_it_is_all_there_is_to_see() -> None:
    plain = {"text/plain": "<A object at 0x7f0011223344>"}
    [alone] = normalised_cells(notebook(code("x", result(plain))), RUN)
    [beside] = normalised_cells(notebook(code("x", result(plain | {"text/html": "<b>A</b>"}))), RUN)
    assert alone.outputs[0]["data"]["text/plain"] == "<A object at 0x7f0011223344>"
    assert beside.outputs[0]["data"]["text/plain"] == "<A object>"


def test_generated_ids_are_counted() -> None:
    one = (
        '<style>#T_ab1_row0 {}</style><td id="T_ab1_row0">1</td><svg><clipPath id="c9"/><g clip-path="url(#c9)"/></svg>'
    )
    other = one.replace("T_ab1", "T_ff2").replace("c9", "c1")
    assert without_generated_ids(one) == without_generated_ids(other)
    assert without_generated_ids(one.replace(">1<", ">2<")) != without_generated_ids(other)
    assert without_generated_ids("costs #5 and #c9") == "costs #5 and #c9"


def test_id_of_a_widgets_model_is_left_out() -> None:
    kind = "application/vnd.jupyter.widget-view+json"
    one, other = (result({kind: {"model_id": name}, "text/plain": "Slider(3)"}) for name in ("a", "b"))
    assert normalised_cells(notebook(code("w", one)), RUN) == normalised_cells(notebook(code("w", other)), RUN)


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"cells": 3},
        {"cells": [3, None, {}]},
        {"cells": [{"cell_type": "code", "metadata": 4, "source": 5, "outputs": {"a": 1}}]},
        {"cells": [{"cell_type": "code", "outputs": [{}, 3, {"output_type": "stream", "text": 4}, {"data": 3}]}]},
        {"cells": [{"cell_type": "code", "outputs": [{"output_type": "error", "traceback": [3], "evalue": []}]}]},
    ],
)
def test_a_notebook_of_another_shape_breaks_nothing(content: dict[str, object]) -> None:
    normalised_cells(content, RUN)


@pytest.mark.parametrize(
    "text",
    [
        "/a" * 200_000,
        "/runs/" * 50_000,
        "/" * 400_000,
        "\r" * 400_000,
        "<metadata>" * 40_000,
        'id="a' * 60_000,
        "#a" * 100_000,
    ],
)
def test_hostile_text_takes_linear_time(text: str) -> None:
    began = time.process_time()
    normalised_text(text, RUN)
    without_generated_ids(text)
    assert time.process_time() - began < 5
