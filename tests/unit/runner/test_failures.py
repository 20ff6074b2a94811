# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The reason of a failure follows from what was seen, for every way a kernel can go."""

from __future__ import annotations

from typing import Any

import pytest

from animus_contracts.runs import Failure, FailureReason
from animus_runner import failures
from animus_runner.failures import MAX_DETAIL, Place
from animus_runner.kernels import KernelEnd

CELL = Place(cell_id="c1", cell_index=3)
MEMORY = 512 << 20
R = FailureReason

ENDS = [
    (KernelEnd(exit=-9, cause="memory"), R.OUT_OF_MEMORY, R.INFRASTRUCTURE),
    (KernelEnd(exit=-9), R.KILLED, R.INFRASTRUCTURE),
    (KernelEnd(exit=-11), R.KILLED, R.INFRASTRUCTURE),
    (KernelEnd(exit=-63), R.KILLED, R.INFRASTRUCTURE),
    (KernelEnd(exit=3), R.USER_CODE, R.ENVIRONMENT),
    (KernelEnd(exit=0), R.USER_CODE, R.ENVIRONMENT),
    (KernelEnd(exit=-9, cause="abandoned"), R.INFRASTRUCTURE, R.INFRASTRUCTURE),
    (KernelEnd(error="the kernel's warden is gone"), R.INFRASTRUCTURE, R.INFRASTRUCTURE),
]


@pytest.mark.parametrize(("end", "in_a_cell", "before"), ENDS, ids=[str(end) for end, _, _ in ENDS])
def test_the_end_of_a_kernel_has_a_reason_a_place_and_a_remedy(
    end: KernelEnd, in_a_cell: FailureReason, before: FailureReason
) -> None:
    during = failures.of_end(end, CELL, MEMORY, "\x1b[31mFatal\x1b[0m")
    assert (during.reason, during.cell_id, during.cell_index) == (in_a_cell, "c1", 3)
    assert "Fatal" in during.detail
    assert during.remedy
    earlier = failures.of_end(end, None, MEMORY, "log")
    assert (earlier.reason, earlier.cell_id, earlier.cell_index) == (before, "", None)
    assert earlier.remedy


@pytest.mark.parametrize(
    ("reply", "reason", "exception"),
    [
        ({"ename": "ValueError", "evalue": "no"}, R.USER_CODE, "ValueError: no"),
        ({"ename": "KeyboardInterrupt", "evalue": ""}, R.USER_CODE, "KeyboardInterrupt"),
        ({"ename": "MemoryError", "evalue": ""}, R.OUT_OF_MEMORY, "MemoryError"),
        ({"ename": "_ArrayMemoryError", "evalue": "Unable"}, R.OUT_OF_MEMORY, "_ArrayMemoryError: Unable"),
        ({}, R.USER_CODE, "Error"),
    ],
)
def test_an_error_in_a_cell_is_the_users_unless_memory_was_missing(
    reply: dict[str, Any], reason: FailureReason, exception: str
) -> None:
    failure = failures.of_reply({"traceback": ["\x1b[0;31ma\x1b[0m", "b"]} | reply, CELL, MEMORY)
    assert (failure.reason, failure.exception, failure.detail) == (reason, exception, "a\nb")


def test_a_timeout_says_where_and_after_how_long() -> None:
    assert failures.of_timeout(CELL, 5) == Failure(
        reason=R.TIMEOUT,
        summary="The run took longer than its 5 s, in cell 3.",
        remedy="Ask for more wall_seconds, or make the work smaller.",
        cell_id="c1",
        cell_index=3,
    )
    assert failures.of_timeout(None, 5).cell_index is None


def test_a_timeout_of_one_cell_names_the_cell_and_its_own_limit() -> None:
    failure = failures.of_timeout(CELL, 5, cell_seconds=0.5)
    assert failure.reason is R.TIMEOUT
    assert failure.summary == f"{str(CELL).capitalize()} took longer than the 0.5 s that one cell may take."
    assert failure.cell_index == CELL.cell_index


def test_detail_is_bounded_and_keeps_both_ends() -> None:
    text = failures.plain("start" + "x" * 10 * MAX_DETAIL + "end")
    assert len(text) < MAX_DETAIL + 20
    assert text.startswith("start")
    assert text.endswith("end")


def test_terminal_sequences_and_control_characters_are_removed_but_lines_and_tabs_stay() -> None:
    assert failures.plain("\x1b[1;31ma\tb\x1b[0m\nc\x07\x1b]0;t") == "a\tb\nc0;t"


def test_the_injected_cell_is_named_as_such() -> None:
    summary = failures.of_reply({"ename": "E"}, Place(cell_id="x"), MEMORY).summary
    assert summary == "The injected parameters raised E."
