# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Every result of another thread arrives on the loop, and those of one group arrive together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from animus_control.api.handover import Handover

MANY = 2000


class CountingLoop:
    """A loop that counts how often another thread wakes it up."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.woken = 0

    def call_soon_threadsafe(self, callback: Callable[[], Any]) -> None:
        self.woken += 1
        self._loop.call_soon_threadsafe(callback)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._loop, name)


def test_result_and_error_arrive() -> None:
    async def scenario() -> None:
        handover = Handover(asyncio.get_running_loop())
        good, bad = Future[str](), Future[str]()
        waiting = handover.wait(good), handover.wait(bad)
        threading.Timer(0.01, lambda: (good.set_result("done"), bad.set_exception(LookupError("no")))).start()
        assert await waiting[0] == "done"
        with pytest.raises(LookupError, match="no"):
            await waiting[1]

    asyncio.run(scenario())


def test_result_that_is_there_already_arrives() -> None:
    async def scenario() -> str:
        future = Future[str]()
        future.set_result("done")
        return await Handover(asyncio.get_running_loop()).wait(future)

    assert asyncio.run(scenario()) == "done"


def test_results_of_one_group_wake_the_loop_once() -> None:
    async def scenario() -> int:
        loop: Any = CountingLoop(asyncio.get_running_loop())
        handover = Handover(loop)
        futures = [Future[int]() for _ in range(8)]
        waiting = [handover.wait(future) for future in futures]
        for number, future in enumerate(futures):
            future.set_result(number)
        assert await asyncio.gather(*waiting) == list(range(8))
        woken: int = loop.woken
        return woken

    assert asyncio.run(scenario()) == 1


def test_none_of_many_results_from_many_threads_is_lost() -> None:
    async def scenario() -> list[int]:
        handover = Handover(asyncio.get_running_loop())
        with ThreadPoolExecutor(8) as pool:
            waiting = [handover.wait(pool.submit(lambda n=number: n)) for number in range(MANY)]
            return await asyncio.wait_for(asyncio.gather(*waiting), 30)

    assert asyncio.run(scenario()) == list(range(MANY))


def test_one_who_gave_up_waiting_does_not_keep_the_others_from_their_results() -> None:
    async def scenario() -> str:
        handover = Handover(asyncio.get_running_loop())
        first, second = Future[str](), Future[str]()
        waiting = handover.wait(first), handover.wait(second)
        waiting[0].cancel()
        first.set_result("unheard")
        second.set_result("heard")
        return await waiting[1]

    assert asyncio.run(scenario()) == "heard"
