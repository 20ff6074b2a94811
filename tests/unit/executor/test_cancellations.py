# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""A wish to stop a run is passed on once, at once, and no failure ends the listening."""

from __future__ import annotations

import time
from collections import deque

import pytest

from animus_contracts.executions import Cancellations, CancellationsRequest
from animus_contracts.identifiers import ExecutionId
from animus_executor import cancellations
from animus_executor.cancellations import CancellationWatch
from animus_executor.control_plane import ProtocolError, StaleError, UnreachableError
from animus_executor.handles import Handle
from tests.patience import until

ONE, OTHER = ExecutionId("one"), ExecutionId("other")


class Tells:
    """Says what it is told to, then nothing."""

    def __init__(self, *answers: list[ExecutionId] | ProtocolError) -> None:
        self.answers = deque(answers)
        self.requests: list[CancellationsRequest] = []

    def cancellations(self, request: CancellationsRequest) -> Cancellations:
        self.requests.append(request)
        if not self.answers:
            time.sleep(0.02)
            return Cancellations(cancel=[])
        answer = self.answers.popleft()
        if isinstance(answer, ProtocolError):
            raise answer
        return Cancellations(cancel=answer)


def test_only_the_named_attempt_is_stopped_and_it_is_known_from_then_on() -> None:
    tells, active = Tells([ONE]), {ONE: Handle(), OTHER: Handle()}
    watch = CancellationWatch(tells, active)
    watch.start()
    until(lambda: len(tells.requests) > 2)
    watch.stop()
    assert (active[ONE].canceled, active[OTHER].canceled) == (True, False)
    assert tells.requests[0].known == []
    assert tells.requests[1].known == [ONE]


@pytest.mark.parametrize("error", [UnreachableError("away"), StaleError("404: an older control plane")])
def test_no_failure_ends_the_listening(error: ProtocolError) -> None:
    tells, active = Tells(error, [ONE]), {ONE: Handle()}
    watch = CancellationWatch(tells, active)
    watch.start()
    until(lambda: active[ONE].canceled)
    watch.stop()


def test_an_attempt_that_is_over_is_no_trouble_and_what_is_remembered_is_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cancellations, "REMEMBERED", 2)
    tells = Tells([ExecutionId(str(number)) for number in range(5)])
    watch = CancellationWatch(tells, {})
    watch.start()
    until(lambda: len(tells.requests) > 2)
    watch.stop()
    assert tells.requests[1].known == ["3", "4"]
