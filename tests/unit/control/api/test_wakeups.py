# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Nobody sleeps through what it waits for."""

from __future__ import annotations

import asyncio
import threading

from animus_control.api.wakeups import Wakeups, wait


def test_a_notification_from_any_thread_wakes_every_waiter_of_its_channel_and_no_other() -> None:
    async def run() -> None:
        wakeups = Wakeups(asyncio.get_running_loop())
        with wakeups.waiting("a") as one, wakeups.waiting("a") as two, wakeups.waiting("b") as other:
            threading.Thread(target=wakeups.notify, args=("a",)).start()
            assert await wait(one, 5)
            assert await wait(two, 5)
            assert not await wait(other, 0.01)

    asyncio.run(run())


def test_a_notification_before_the_wait_counts_and_counts_once() -> None:
    async def run() -> None:
        wakeups = Wakeups(asyncio.get_running_loop())
        with wakeups.waiting("a") as event:
            wakeups.notify("a")
            await asyncio.sleep(0.01)
            assert await wait(event, 0)
            assert not await wait(event, 0)

    asyncio.run(run())


def test_who_begins_to_wait_while_the_server_stops_does_not_wait() -> None:
    async def run() -> None:
        wakeups = Wakeups(asyncio.get_running_loop())
        with wakeups.waiting("a") as early:
            wakeups.close()
            assert await wait(early, 5)
        with wakeups.waiting("a") as late:
            assert await wait(late, 5)

    asyncio.run(run())


def test_a_channel_nobody_waits_on_any_more_is_forgotten() -> None:
    async def run() -> None:
        wakeups = Wakeups(asyncio.get_running_loop())
        with wakeups.waiting("a"):
            pass
        wakeups.notify("a")
        assert not wakeups._waiters

    asyncio.run(run())


def test_a_notification_after_the_loop_has_closed_is_harmless() -> None:
    async def begin() -> Wakeups:
        wakeups = Wakeups(asyncio.get_running_loop())
        wakeups._waiters["a"] = set()
        return wakeups

    asyncio.run(begin()).notify("a")
