# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The worker never gives up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from animus_control.worker import Worker


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
