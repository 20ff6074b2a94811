# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The worker never gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from datetime import timedelta
from typing import Any

import pytest

from animus_control.worker import Attendance, Worker


class FlakyDatabase:
    """Fails every second piece of work."""

    def __init__(self) -> None:
        self.pieces = 0

    def write(self, work: Callable[[Any], Any]) -> Future[Any]:
        self.pieces += 1
        future: Future[Any] = Future()
        if self.pieces % 2:
            future.set_exception(ConnectionError("canary"))
        else:
            future.set_result(work(None))
        return future


def test_a_job_that_fails_is_logged_without_its_message_and_tried_again(caplog: pytest.LogCaptureFixture) -> None:
    done: list[str] = []

    async def run() -> None:
        enough = asyncio.Event()

        def job(_uow: object) -> None:
            done.append("one")
            if len(done) == 5:
                enough.set()

        worker = Worker(FlakyDatabase())  # type: ignore[arg-type]  # only writing is asked of it
        worker.every(0.001, "one", job)
        await enough.wait()
        await worker.stop()
        seen = len(done)
        await asyncio.sleep(0.01)
        assert len(done) == seen

    asyncio.run(run())
    assert '"job": "one", "type": "ConnectionError"' in caplog.text
    assert "canary" not in caplog.text


def test_a_job_that_listens_is_told_for_how_long_it_could_hear() -> None:
    told: list[timedelta] = []

    async def run() -> None:
        enough = asyncio.Event()

        def job(_uow: object, listened: timedelta) -> None:
            told.append(listened)
            if len(told) == 5:
                enough.set()

        worker = Worker(FlakyDatabase())  # type: ignore[arg-type]  # only writing is asked of it
        worker.listen(0.05, "ears", job)
        await enough.wait()
        await worker.stop()

    asyncio.run(run())
    assert told[0] == timedelta()
    assert told == sorted(told)
    assert told[-1] >= timedelta(seconds=0.3)


S, A = "succeeded", "asked"


@pytest.mark.parametrize(
    ("story", "heard"),
    [
        ([(0, A)], [0]),
        ([(0, S), (3, A)], [3]),
        ([(0, S), (3, S), (6, S), (9, A)], [9]),
        ([(0, S), (15, A), (16, A)], [15, 0]),
        ([(0, S), (3, S), (3603, A), (3603, S), (3606, A)], [0, 3]),
        ([(0, S), (14, S), (28, S), (42, A)], [42]),
    ],
    ids=[
        "who never succeeded heard nothing",
        "it counts from the first success",
        "successes in time prolong it",
        "silence of our own is a break once it is too long",
        "after an outage it begins anew, from the first success after it",
        "many short breaks are none",
    ],
)
def test_listening_lasts_from_success_to_success_without_a_break(
    story: list[tuple[float, str]], heard: list[float]
) -> None:
    now = 0.0
    attendance = Attendance(15.0, clock=lambda: now)
    told = []
    for now, what in story:  # noqa: B007 - the clock reads it
        if what == S:
            attendance.succeeded()
        else:
            told.append(attendance.lasted().total_seconds())
    assert told == heard
