# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""Signals that come while another one is handled neither block nor get lost."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from animus_executor.stopping import Stopping

MANY = 20_000


@pytest.fixture(name="stopping")
def _stopping() -> Iterator[Stopping]:
    stopping = Stopping()
    before = signal.signal(signal.SIGUSR2, lambda *_: stopping.set())
    yield stopping
    signal.signal(signal.SIGUSR2, before)


def test_nobody_has_told_yet(stopping: Stopping) -> None:
    assert not stopping.wait(0.01)


@pytest.mark.timeout(60)
def test_a_storm_of_signals_is_heard_and_blocks_nothing(stopping: Stopping) -> None:
    def storm() -> None:
        for _ in range(MANY):
            os.kill(os.getpid(), signal.SIGUSR2)

    thread = threading.Thread(target=storm)
    thread.start()
    assert stopping.wait(10)
    while thread.is_alive():
        assert stopping.wait(10), "once told it stays told"
    thread.join()
